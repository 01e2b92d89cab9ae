// The Image header, and the way of a vCPU from its first instruction to Rust.
//
// vCPU 0 comes here in EL1 with the MMU and caches off and the device tree's physical address in x0
// (Linux's boot protocol for arm64). The image may lie at any multiple of 4 KiB. We are linked for
// another address, so everything up to the jump is relative to the program counter; and since the
// page that turns the MMU on must be mapped at its physical address as well, all of it is in one.

    .section .head, "ax"
    .balign 8

    .equ PAGE_MAP,  0x703       // valid page; normal, inner shareable, accessed, read and write
    .equ BLOCK_MAP, 0x701       // the same, as a block
    .equ TABLE,     0x3
    .equ MAIR,      0x000004ff  // 0: normal write-back; 1: device
    .equ TCR,       0x200803519 // 39 bits by TTBR0, pages of 4 KiB, walked write-back shareable, to 40 bits
    .equ SCTLR,     0x30d0180d  // what reads as one; I, SA, C, M

    // For the linker script: tables of level 2 that are filled here, for the image's window and for
    // where it was loaded.
    .global LEVEL2_TABLES
    .equ LEVEL2_TABLES, 2
    .equ LEVEL3, (1 + LEVEL2_TABLES) * 0x1000

    .global _start
_start:
    b       boot
    .word   0
    .quad   0                   // at the start of 2 MiB
    .quad   _image_size
    .quad   0xa                 // little endian, pages of 4 KiB, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

// In:  x0 device tree.
// Out: x0 device tree, x1 physical address of the image, x2 the virtual counter at the first
//      instruction, to `guest_boot`.
boot:
    msr     daifset, #0xf
    mrs     x20, cntvct_el0
    mov     x19, x0
    adr     x21, _start         // where we are
    ldr     x22, =_image_start  // where we want to be
    tst     x21, #0xfff
    b.ne    hang
    sub     x23, x21, x22       // physical minus virtual

    // Level 1: the first GiB, where the window is.
    ldr     x0, =_tables
    add     x0, x0, x23         // level 1
    add     x1, x0, #0x1000     // level 2
    orr     x2, x1, #TABLE
    str     x2, [x0]

    // Level 2: the tables of level 3 for the image's window.
    add     x2, x0, #LEVEL3
    orr     x2, x2, #TABLE
    add     x4, x1, x22, lsr #18 // 8 bytes for each 2 MiB
    ldr     x5, =WINDOW_SLOTS
1:  str     x2, [x4], #8
    add     x2, x2, #0x1000
    subs    x5, x5, #1
    b.ne    1b

    // Level 3: the image. The window begins with it.
    add     x4, x0, #LEVEL3
    ldr     x5, =_image_size
    mov     x3, #PAGE_MAP
    add     x2, x21, x3
1:  str     x2, [x4], #8
    add     x2, x2, #0x1000
    subs    x5, x5, #0x1000
    b.ne    1b

    // Ourselves, where we are: a block of level 2. The window must not be there.
    lsr     x4, x21, #30
    cmp     x4, #512
    b.hs    hang
    cbz     x4, 1f
    add     x1, x0, #0x2000
    orr     x2, x1, #TABLE
    str     x2, [x0, x4, lsl #3]
1:  ubfx    x4, x21, #21, #9
    ldr     x5, [x1, x4, lsl #3]
    cbnz    x5, hang
    mov     x5, #BLOCK_MAP
    and     x2, x21, #~0x1fffff
    orr     x2, x2, x5
    str     x2, [x1, x4, lsl #3]

    // The tables were written past the caches, which may hold what was there before.
    mrs     x3, ctr_el0
    ubfx    x3, x3, #16, #4     // DminLine: words, as a power of two
    mov     x4, #4
    lsl     x3, x4, x3
    ldr     x1, =_tables_end
    add     x1, x1, x23
    mov     x2, x0
    dsb     sy
1:  dc      ivac, x2
    add     x2, x2, x3
    cmp     x2, x1
    b.lo    1b

    bl      mmu_on
    ldr     x3, =_boot_stack
    ldr     x4, =_boot_fault_stack
    bl      stacks
    mov     x0, x19
    mov     x1, x21
    mov     x2, x20
    mov     x29, #0             // the end of the chain of frames
    mov     x30, #0
    ldr     x3, =guest_boot
    br      x3

// Where PSCI starts other vCPUs, by physical address, with a context in x0: the address of
// { stack, fault stack, vCPU }, virtual, to be looked at once the MMU is on.
    .global guest_secondary_entry
guest_secondary_entry:
    msr     daifset, #0xf
    mov     x19, x0
    adr     x21, _start
    ldr     x22, =_image_start
    sub     x23, x21, x22
    ldr     x0, =_tables
    add     x0, x0, x23
    bl      mmu_on
    ldp     x3, x4, [x19]
    bl      stacks
    ldr     x0, [x19, #16]
    mov     x29, #0
    mov     x30, #0
    ldr     x3, =guest_secondary
    br      x3

// Turns the MMU and caches on with tables at x0, and returns to the linked address of the caller.
// In: x23 physical minus virtual. Clobbers x1.
mmu_on:
    ic      iallu
    tlbi    vmalle1
    ldr     x1, =MAIR
    msr     mair_el1, x1
    ldr     x1, =TCR
    msr     tcr_el1, x1
    msr     ttbr0_el1, x0
    dsb     sy
    isb
    ldr     x1, =SCTLR
    msr     sctlr_el1, x1
    isb
    ldr     x1, =arm64_vectors
    msr     vbar_el1, x1
    isb
    sub     x30, x30, x23
    ret

// The program runs on SP_EL0, with its stack up to x3; exceptions begin on SP_EL1, which ends at x4.
stacks:
    msr     spsel, #1
    mov     sp, x4
    msr     spsel, #0
    mov     sp, x3
    ret

// Nobody to tell: say that we crashed.
    .global hang
hang:
    mov     x0, #2              // SCHEDOP_shutdown
    adr     x1, crash
    mov     x16, #29            // sched_op
    hvc     #0xea1
1:  wfi
    b       1b
    .balign 4
crash:
    .word   3                   // SHUTDOWN_crash

    .ltorg
