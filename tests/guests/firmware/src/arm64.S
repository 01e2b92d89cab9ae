// TPIDR_EL3 counts. Calls change x0 to x3 only.
    .pushsection .head, "ax"
    .global _start
_start:
    adr     x0, vectors
    msr     vbar_el3, x0
    msr     tpidr_el3, xzr
    msr     cptr_el3, xzr
    mov     x0, #0x531              // SCR: EL2 is AArch64 and not secure, and may call us
    msr     scr_el3, x0
    movz    x0, #0x30c5, lsl #16
    movk    x0, #0x0830
    msr     sctlr_el2, x0
    mov     x0, #0x08000000         // all interrupts are the other world's: GICD_IGROUPR
    mov     w1, #-1
    mov     x2, #0x80
1:  str     w1, [x0, x2]
    add     x2, x2, #4
    cmp     x2, #0x100
    b.ne    1b
    movk    x0, #0x0801, lsl #16    // and of any priority: GICC_PMR
    mov     w1, #0xff
    str     w1, [x0, #4]
    mov     x0, #0x3c9              // EL2, all masked
    msr     spsr_el3, x0
    mov     x0, #0x44000000
    msr     elr_el3, x0
    mov     x0, #0x40000000         // the device tree
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    isb
    eret

    .balign 0x800
vectors:
    .space  0x400
    // A call from AArch64.
    movz    w2, #0x8000, lsl #16
    cmp     w0, w2                  // SMCCC_VERSION
    b.eq    version
    add     w3, w2, #1              // SMCCC_ARCH_FEATURES
    cmp     w0, w3
    b.eq    features
    mov     w3, #0x8000             // SMCCC_ARCH_WORKAROUND_1
    orr     w3, w3, w2
    cmp     w0, w3
    b.eq    workaround
    movz    w2, #0x8400, lsl #16
    cmp     w0, w2                  // PSCI_VERSION
    b.eq    version
    add     w3, w2, #0xa            // PSCI_FEATURES
    cmp     w0, w3
    b.eq    yes
    add     w3, w2, #8              // SYSTEM_OFF
    cmp     w0, w3
    b.eq    off
no: mov     x0, #-1
    eret
yes:
    mov     x0, #0
    eret
    .balign 0x800

version:
    movz    w0, #1, lsl #16
    movk    w0, #1
    eret
features:
    mov     w3, #0x8000
    orr     w3, w3, w2
    cmp     w1, w3
    b.eq    yes
    b       no
workaround:
    mrs     x0, tpidr_el3
    add     x0, x0, #1
    msr     tpidr_el3, x0
    eret

// Says the count, in sixteen digits.
off:
    mov     x0, #0x09000000
    adr     x1, text
1:  ldrb    w2, [x1], #1
    cbz     w2, 2f
    str     w2, [x0]
    b       1b
2:  mrs     x1, tpidr_el3
    mov     w3, #16
3:  ror     x1, x1, #60
    and     w2, w1, #0xf
    cmp     w2, #10
    add     w2, w2, #'0'
    b.lo    4f
    add     w2, w2, #'a' - '0' - 10
4:  str     w2, [x0]
    subs    w3, w3, #1
    b.ne    3b
    mov     w2, #'.'
    str     w2, [x0]
5:  wfi
    b       5b
text:
    .asciz  "firmware: workarounds "
    .popsection
