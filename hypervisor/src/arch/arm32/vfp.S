@ save_vfp, load_vfp(r0 = registers)
@ FPEXC.EN has to be set for the other registers to be reached. MVFR0.A_SIMD registers says whether there are
@ d16 to d31: 2 if so.
    .equ    MVFR0_REGISTERS, 0xf
    .equ    MVFR0_32, 2
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
    vmrs    r1, mvfr0
    str     r2, [r0, #{fpexc}]
    str     r3, [r0, #{fpscr}]
    and     r1, r1, #MVFR0_REGISTERS
    cmp     r1, #MVFR0_32
    vstmia  r0!, {{d0-d15}}
    vstmiaeq r0, {{d16-d31}}
    bx      lr

    .global load_vfp
    .type   load_vfp, %function
load_vfp:
    ldr     r2, [r0, #{fpexc}]
    ldr     r3, [r0, #{fpscr}]
    orr     r12, r2, #{enable}
    vmsr    fpexc, r12
    vmsr    fpscr, r3
    vmrs    r1, mvfr0
    and     r1, r1, #MVFR0_REGISTERS
    cmp     r1, #MVFR0_32
    vldmia  r0!, {{d0-d15}}
    vldmiaeq r0, {{d16-d31}}
    vmsr    fpexc, r2
    bx      lr
    .popsection
