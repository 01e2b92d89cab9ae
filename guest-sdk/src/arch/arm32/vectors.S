// Exceptions. An interrupt runs on the stack of what it interrupted and returns there; a fault
// saves all registers on a stack of its own and does not return.

    .section .text.vectors, "ax"
    .arm

    .balign 32
    .global arm32_vectors
arm32_vectors:
    b       .                   // reset: not here
    b       undefined
    b       supervisor_call
    b       prefetch_abort
    b       data_abort
    b       .
    b       interrupt
    b       .                   // FIQ: masked

interrupt:
    sub     lr, lr, #4
    srsdb   sp!, #0x13
    cps     #0x13
    push    {r0-r3, r12, lr}
    and     r1, sp, #4          // the interrupted code may have had its stack at any word
    sub     sp, sp, r1
    push    {r0, r1}
    bl      guest_interrupt
    pop     {r0, r1}
    add     sp, sp, r1
    pop     {r0-r3, r12, lr}
    clrex                       // an exclusive store that we interrupted has to be repeated
    rfeia   sp!

// Builds the frame that `Frame` in faults.rs describes: r0 to r12, sp and lr of the faulting mode,
// its pc and cpsr. `kind` says which exception, `back` how far lr is ahead of the instruction.
.macro fault kind, back
    sub     lr, lr, #\back
    sub     sp, sp, #68
    stm     sp, {r0-r12}
    str     lr, [sp, #60]
    mrs     r1, spsr
    str     r1, [sp, #64]
    mrs     r2, cpsr
    and     r1, r1, #0x1f
    orr     r1, r1, #0xc0       // with interrupts off
    msr     cpsr_c, r1          // a look at the mode that faulted
    mov     r3, sp
    mov     r4, lr
    msr     cpsr_c, r2
    str     r3, [sp, #52]
    str     r4, [sp, #56]
    mov     r0, #\kind
    mov     r1, sp
    and     r2, sp, #4
    sub     sp, sp, r2
    mov     r11, #0
    b       arm32_fault
.endm

undefined:
    fault   0, 4
supervisor_call:
    fault   1, 4
prefetch_abort:
    fault   2, 4
data_abort:
    fault   3, 8
