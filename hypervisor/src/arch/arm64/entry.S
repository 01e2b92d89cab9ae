// Into a guest and out of it, and what happens to the hypervisor itself.
//
// There is one stack for each CPU, SP_EL2, so entering a guest is a function call, and so is serving
// what stops it.

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

// The frame of `enter_guest`, from where SP is while the guest runs: the caller's x29 and x30, x19 to
// x28, and these.
    .equ    frame_current, 96
    .equ    frame_timed, 104
    .equ    frame_registers, 112
    .equ    frame_hypercall, 120
    .equ    frame_scratch, 128
    .equ    frame_end, 144

// What a function keeps, x19 to x28, of a guest whose registers are at x0.
    .macro  kept operation
    \operation x19, x20, [x0, #152]
    \operation x21, x22, [x0, #168]
    \operation x23, x24, [x0, #184]
    \operation x25, x26, [x0, #200]
    \operation x27, x28, [x0, #216]
    .endm

// The same of the caller of `enter_guest`.
    .macro  callers operation
    \operation x19, x20, [sp, #16]
    \operation x21, x22, [sp, #32]
    \operation x23, x24, [sp, #48]
    \operation x25, x26, [sp, #64]
    \operation x27, x28, [sp, #80]
    .endm

// enter_guest(x0 = current, x1 = whether traps and interrupts are timed, x2 = registers, x3 = syndrome of a
// hypercall): runs the guest until what serves a trap, a hypercall or an interrupt says that it may not go
// on.
//
// Hypercalls and interrupts look at no register that a function keeps: x19 to x28 stay the guest's all
// the while, and are saved when that is over. Other traps may be about any register.
    .global enter_guest
    .type   enter_guest, %function
enter_guest:
    stp     x29, x30, [sp, #-frame_end]!
    callers stp
    stp     x0, x1, [sp, #frame_current]
    stp     x2, x3, [sp, #frame_registers]
    mov     x0, x2
enter_all:                          // x0 = registers
    kept    ldp
    b       2f
enter_clobbered:
    ldr     x0, [sp, #frame_registers]
2:  ldp     x1, x2, [x0, #{pc}]
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
    ldr     x18, [x0, #144]
    ldp     x29, x30, [x0, #232]
    ldp     x0, x1, [x0]
    eret                            // which ends exclusive accesses, too
    dsb     nsh                     // nothing may be speculated past the return
    isb

// Saves what a function may clobber; x0 = registers afterwards. Backtraces lead through this frame.
    .macro  save_clobbered
    stp     x0, x1, [sp, #frame_scratch]
    ldr     x0, [sp, #frame_registers]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    str     x18, [x0, #144]
    stp     x29, x30, [x0, #232]
    ldp     x1, x2, [sp, #frame_scratch]
    stp     x1, x2, [x0]
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [x0, #{pc}]
    mov     x29, sp
    .endm
guest_trap:
    save_clobbered
    mrs     x1, esr_el2
    ldr     w2, [sp, #frame_hypercall]
    and     w3, w1, #{either_state}
    cmp     w3, w2
    b.ne    other_trap
    ldr     x0, [sp, #frame_current]
    bl      {serve_hypercall}
    cbnz    w0, enter_clobbered
leave:
    ldr     x0, [sp, #frame_registers]
    kept    stp
leave_saved:
    callers ldp
    ldp     x29, x30, [sp], #frame_end
    ret
guest_irq:
    save_clobbered
    ldp     x0, x1, [sp, #frame_current]
    bl      {serve_interrupt}
    cbnz    w0, enter_clobbered
    b       leave
other_trap:
    kept    stp
    ldp     x0, x2, [sp, #frame_current]
    bl      {serve_trap}
    cbz     w0, leave_saved
    ldr     x0, [sp, #frame_registers]
    b       enter_all

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
