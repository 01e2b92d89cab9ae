// copy_regs(x0 = to, x1 = from): size bytes. Uses x0 to x3.
    .pushsection .text.copy_regs, "ax"
    .global copy_regs
    .type copy_regs, %function
copy_regs:
    .rept {size} / 16
    ldp     x2, x3, [x1], #16
    stp     x2, x3, [x0], #16
    .endr
    ldr     x2, [x1]
    str     x2, [x0]
    ret
    .popsection
