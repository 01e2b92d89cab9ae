@ save_vfp, load_vfp(r0 = registers, r1 = whether there are d16 to d31)
@ FPEXC.EN has to be set for the other registers to be reached.
    .arch armv7-a
    .fpu    neon
    .arm

    .pushsection .text.vfp, "ax"
    .global save_vfp
    .type   save_vfp, %function
save_vfp:
    vmrs    r2, fpexc
    orr     r3, r2, #{enable}
    vmsr    fpexc, r3
    vmrs    r3, fpscr
    str     r2, [r0, #{fpexc}]
    str     r3, [r0, #{fpscr}]
    cmp     r1, #0
    vstmia  r0!, {{d0-d15}}
    vstmiane r0, {{d16-d31}}
    bx      lr

    .global load_vfp
    .type   load_vfp, %function
load_vfp:
    ldr     r2, [r0, #{fpexc}]
    ldr     r3, [r0, #{fpscr}]
    orr     r12, r2, #{enable}
    vmsr    fpexc, r12
    vmsr    fpscr, r3
    cmp     r1, #0
    vldmia  r0!, {{d0-d15}}
    vldmiane r0, {{d16-d31}}
    vmsr    fpexc, r2
    bx      lr
    .popsection
