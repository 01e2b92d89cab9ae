// Into a guest and out of it, and what happens to the hypervisor itself.
//
// There is one stack for each CPU, SP_EL2, so entering a guest is a function call that returns when
// the guest traps.

    .pushsection .text.vectors, "ax"

    .macro  entry target
    .balign 0x80
    b       \target
    .endm

    .balign 0x800
    .global el2_vectors
el2_vectors:
    // From EL2 on EL0's stack, which is never used.
    entry   own_synchronous
    entry   own_interrupt
    entry   own_interrupt
    entry   own_serror
    // From EL2.
    entry   own_synchronous
    entry   own_interrupt
    entry   own_interrupt
    entry   own_serror
    // From a guest, in either state. ESR tells an SError from other traps.
    .rept   2
    entry   guest_trap
    entry   guest_irq
    entry   guest_irq
    entry   guest_trap
    .endr

// enter_guest(x0 = registers) -> {exit_trap} or {exit_irq}
// The registers that a function keeps are kept on the stack.
    .global enter_guest
    .type   enter_guest, %function
enter_guest:
    stp     x29, x30, [sp, #-112]!
    stp     x27, x28, [sp, #16]
    stp     x25, x26, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x21, x22, [sp, #64]
    stp     x19, x20, [sp, #80]
    str     x0, [sp, #96]
    ldp     x1, x2, [x0, #{pc}]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    clrex
    eret
    dsb     nsh                     // nothing may be speculated past the return
    isb

    .macro  leave_guest exit
    stp     x0, x1, [sp, #-16]!
    ldr     x0, [sp, #16 + 96]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    ldp     x1, x2, [sp], #16
    stp     x1, x2, [x0]
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [x0, #{pc}]
    mov     x0, #\exit
    ldp     x19, x20, [sp, #80]
    ldp     x21, x22, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #32]
    ldp     x27, x28, [sp, #16]
    ldp     x29, x30, [sp], #112
    ret
    .endm
guest_trap:
    leave_guest {exit_trap}
guest_irq:
    leave_guest {exit_irq}

// take_pending_abort() -> w0 = 1 if the last guest had caused an SError that was still on its way.
// Called with the guest's thread registers saved: the handler below uses one.
    .global take_pending_abort
    .type   take_pending_abort, %function
take_pending_abort:
    mov     x0, #0
    dsb     sy
    msr     daifclr, #4
abort_window:
    isb
    msr     daifset, #4
    ret

    .macro  own_fault kind
    msr     tpidr_el1, x0           // the guest's; nobody will miss it
    mrs     x0, tpidr_el2           // this CPU
    ldr     x0, [x0, #{fault_stack}]
    sub     x0, x0, #{frame_size}
    stp     x2, x3, [x0, #16]
    mov     x2, #\kind
    b       fault_frame
    .endm

own_serror:
    msr     tpidr_el1, x0
    msr     tpidrro_el0, x1
    mrs     x0, elr_el2
    adr     x1, abort_window
    sub     x0, x0, x1
    cmp     x0, #4                  // at the ISB or at the instruction after it
    b.hi    1f
    mrs     x1, tpidrro_el0
    mrs     x0, spsr_el2
    orr     x0, x0, #(1 << 8)       // the window closes
    msr     spsr_el2, x0
    mov     x0, #1
    eret
1:  mrs     x1, tpidrro_el0
    mrs     x0, tpidr_el1
    own_fault {serror}
own_synchronous:
    own_fault {synchronous}
own_interrupt:
    own_fault {interrupt}

// The rest of a frame: x0 = where, x2 = kind; x0, x2 and x3 of the frame are elsewhere.
fault_frame:
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    mrs     x3, tpidr_el1
    stp     x3, x1, [x0]
    mov     x3, sp
    str     x3, [x0, #{frame_sp}]
    mrs     x3, elr_el2
    str     x3, [x0, #{frame_pc}]
    mrs     x3, spsr_el2
    str     x3, [x0, #{frame_pstate}]
    mov     sp, x0
    mov     x1, x2
    b       {own_fault}
    .popsection
