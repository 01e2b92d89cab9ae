@ Into a guest and out of it, and what happens to the hypervisor itself.
@
@ Exceptions are taken in ARM state (HSCTLR.TE is clear), while the compiler may make Thumb code: what
@ it calls is marked as a function here, and what is called of it is branched to by address.
@
@ There is one stack for each CPU and HYP mode uses no banked register but its own, so entering a
@ guest is a function call that returns when the guest traps.

    .arch_extension virt
    .arm

    .macro adrl_ reg, sym
    movw    \reg, #:lower16:\sym
    movt    \reg, #:upper16:\sym
    .endm

    .pushsection .text.vectors, "ax"
    .balign 32
    .global hyp_vectors
hyp_vectors:
    b       own_reset
    b       own_undefined
    b       own_call
    b       own_prefetch_abort
    b       own_data_abort
    b       guest_trap
    b       guest_irq
    b       guest_fiq

@ The same for CPUs whose branch predictor has to forget before the first branch after a guest. What comes from a
@ guest falls through to the instruction that does it; of a trap, SP tells that it is no interrupt.
    .macro  forgetful_vectors name, operation
    .balign 32
    .global \name
\name:
    b       own_reset
    b       own_undefined
    b       own_call
    b       own_prefetch_abort
    b       own_data_abort
    add     sp, sp, #1
    nop
    mcr     p15, 0, r0, c7, c5, \operation
    isb
    tst     sp, #1
    beq     guest_irq
    sub     sp, sp, #1
    b       guest_trap
    .endm
    forgetful_vectors hyp_vectors_bpiall, 6
    forgetful_vectors hyp_vectors_iciallu, 0

@ enter_guest(r0 = registers) -> {exit_trap}, {exit_irq} or {exit_fiq}
@ The AAPCS registers are kept on the stack; HYP's lr is the guest's lr_usr.
    .global enter_guest
    .type   enter_guest, %function
enter_guest:
    push    {{r0, r4-r11, lr}}
    ldr     r1, [r0, #{pc}]
    ldr     r2, [r0, #{cpsr}]
    ldr     lr, [r0, #{lr}]
    msr     ELR_hyp, r1
    msr     SPSR_cxsf, r2           @ not SPSR_hyp: unpredictable in HYP mode
    ldm     r0, {{r0-r12}}
    clrex
    eret
    dsb     nsh                     @ nothing may be speculated past the return
    isb

    .macro  leave_guest exit
    push    {{r0}}
    ldr     r0, [sp, #4]
    stmib   r0, {{r1-r12}}
    str     lr, [r0, #{lr}]
    pop     {{r1}}
    str     r1, [r0]
    mrs     r2, ELR_hyp
    mrs     r3, SPSR
    str     r2, [r0, #{pc}]
    str     r3, [r0, #{cpsr}]
    mov     r0, #\exit
    add     sp, sp, #4
    pop     {{r4-r11, pc}}
    .endm
guest_trap:
    leave_guest {exit_trap}
guest_irq:
    leave_guest {exit_irq}
guest_fiq:
    leave_guest {exit_fiq}

@ take_pending_abort() -> r0 = 1 if the last guest had caused an asynchronous abort that was still
@ on its way. Called with the guest's thread registers saved: the handler below uses them.
    .global take_pending_abort
    .type   take_pending_abort, %function
take_pending_abort:
    mov     r0, #0
    dsb
    cpsie   a
abort_window:
    isb
    cpsid   a
    bx      lr

    .macro  own_fault kind
    mcr     p15, 0, r0, c13, c0, 4  @ TPIDRPRW is the guest's; nobody will miss it
    mrc     p15, 4, r0, c13, c0, 2  @ HTPIDR: this CPU
    ldr     r0, [r0, #{fault_stack}]
    sub     r0, r0, #{frame_size}
    stmib   r0, {{r1-r12}}
    str     sp, [r0, #{frame_sp}]
    str     lr, [r0, #{frame_lr}]
    mrc     p15, 0, r1, c13, c0, 4
    str     r1, [r0]
    mrs     r1, ELR_hyp
    str     r1, [r0, #{frame_pc}]
    mrs     r1, SPSR
    str     r1, [r0, #{frame_cpsr}]
    mov     sp, r0
    mov     r1, #\kind
    adrl_   r12, {own_fault}
    bx      r12
    .endm

own_data_abort:
    mcr     p15, 0, r0, c13, c0, 4
    mcr     p15, 0, r1, c13, c0, 3
    mrs     r0, ELR_hyp
    adr     r1, abort_window
    sub     r0, r0, r1
    cmp     r0, #4                  @ at the ISB or at the instruction after it
    movls   r0, #1
    mrc     p15, 0, r1, c13, c0, 3
    eretls                          @ SPSR has A clear: the window is still open
    mrc     p15, 0, r0, c13, c0, 4
    own_fault {data_abort}
own_reset:
    own_fault {reset}
own_undefined:
    own_fault {undefined}
own_call:
    own_fault {call}
own_prefetch_abort:
    own_fault {prefetch_abort}
    .popsection
