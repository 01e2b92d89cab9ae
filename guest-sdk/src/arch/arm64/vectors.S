// Exceptions. An interrupt runs on the stack of what it interrupted and returns there; a fault
// saves all registers on a stack of its own and does not return.

    .section .text.vectors, "ax"

// A pair of registers to its place at sp, and back.
.macro save first, second
    stp     x\first, x\second, [sp, #8 * \first]
.endm

.macro restore first, second
    ldp     x\first, x\second, [sp, #8 * \first]
.endm

// An entry that goes elsewhere with everything as it is.
.macro vector target
    .balign 0x80
    b       \target
.endm

// Builds the frame that `Frame` in faults.rs describes: x0 to x30, then sp, pc and spsr of what
// faulted. `kind` says which exception.
.macro fault kind
    .balign 0x80
    sub     sp, sp, #272
    save    0, 1
    mov     x0, #\kind
    b       save_all
.endm

    .balign 0x800
    .global arm64_vectors
arm64_vectors:
    // From the program, on SP_EL0.
    fault   0
    vector  interrupt
    fault   2                   // FIQ: masked
    fault   3
    // From exceptions themselves, on SP_EL1: a fault while one is reported.
    vector  hang
    vector  hang
    vector  hang
    vector  hang
    // From EL0, where nothing runs.
    .rept 8
    vector  hang
    .endr

save_all:
    save    2, 3
    save    4, 5
    save    6, 7
    save    8, 9
    save    10, 11
    save    12, 13
    save    14, 15
    save    16, 17
    save    18, 19
    save    20, 21
    save    22, 23
    save    24, 25
    save    26, 27
    save    28, 29
    mrs     x1, sp_el0
    stp     x30, x1, [sp, #8 * 30]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [sp, #8 * 32]
    mov     x1, sp
    mov     x29, #0
    mov     x30, #0
    b       arm64_fault

// Nothing else that returns happens meanwhile: ELR and SPSR stay what they are.
interrupt:
    msr     spsel, #0
    sub     sp, sp, #176
    save    0, 1
    save    2, 3
    save    4, 5
    save    6, 7
    save    8, 9
    save    10, 11
    save    12, 13
    save    14, 15
    save    16, 17
    str     x18, [sp, #8 * 18]
    mrs     x0, elr_el1
    stp     x29, x0, [sp, #8 * 20] // a frame: the interrupted code's, and where it was
    str     x30, [sp, #8 * 19]
    add     x29, sp, #8 * 20
    bl      guest_interrupt
    ldr     x29, [sp, #8 * 20]
    ldp     x18, x30, [sp, #8 * 18]
    restore 16, 17
    restore 14, 15
    restore 12, 13
    restore 10, 11
    restore 8, 9
    restore 6, 7
    restore 4, 5
    restore 2, 3
    restore 0, 1
    add     sp, sp, #176
    eret
