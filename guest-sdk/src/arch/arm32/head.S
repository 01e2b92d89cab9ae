// The zImage header, and the way of a vCPU from its first instruction to Rust.
//
// vCPU 0 comes here in SVC mode with the MMU and caches off and the device tree's physical address
// in r2 (Linux's zImage protocol). The image may lie at any multiple of 4 KiB. We are linked for
// another address, so everything up to the jump is relative to the program counter; and since the
// page that turns the MMU on must be mapped at its physical address as well, all of it is in one.

    .arch_extension virt
    .section .head, "ax"
    .arm
    .balign 4

    .equ PAGE_MAP,  0x703       // valid page; normal, inner shareable, accessed, read and write
    .equ BLOCK_MAP, 0x701       // the same, as a block
    .equ TABLE,     0x3
    .equ MAIR,      0x000004ff  // 0: normal write-back; 1: device
    .equ TTBCR,     0x80803500  // long descriptors; TTBR0 for all, walked write-back shareable

    // For the linker script: tables of level 2 that are filled here, all there are.
    .global LEVEL2_TABLES
    .equ LEVEL2_TABLES, 4
    .equ LEVEL3, (1 + LEVEL2_TABLES) * 0x1000

    .global _start
_start:
    .rept 8
    mov     r0, r0
    .endr
    b       boot
    .word   0x016f2818          // magic
    .word   0                   // start: anywhere
    .word   _image_size         // end
    .word   0x04030201          // little endian

// In:  r2 device tree.
// Out: r0 device tree, r1 physical address of the image, r2 and r3 the virtual counter at the first
//      instruction, to `guest_boot`.
boot:
    cpsid   aif, #0x13
    mrrc    p15, 1, r6, r7, c14     // CNTVCT
    mov     r10, r2
    adr     r11, _start         // where we are
    ldr     r9, =_image_start   // where we want to be
    ldr     r4, =0xfff
    tst     r11, r4
    bne     hang
    sub     r8, r11, r9         // physical minus virtual

    // Level 1: four tables of level 2, one after the other.
    ldr     r0, =_tables
    add     r0, r0, r8          // level 1
    add     r1, r0, #0x1000     // level 2
    orr     r2, r1, #TABLE
    mov     r3, #0
    mov     r4, r0
    mov     r5, #LEVEL2_TABLES
1:  strd    r2, r3, [r4], #8
    add     r2, r2, #0x1000
    subs    r5, r5, #1
    bne     1b

    // Level 2: the tables of level 3 for the image's window.
    add     r2, r0, #LEVEL3     // level 3
    orr     r2, r2, #TABLE
    add     r4, r1, r9, lsr #18 // 8 bytes for each 2 MiB
    ldr     r5, =WINDOW_SLOTS
1:  strd    r2, r3, [r4], #8
    add     r2, r2, #0x1000
    subs    r5, r5, #1
    bne     1b

    // Level 3: the image. The window begins with it.
    add     r4, r0, #LEVEL3
    ldr     r5, =_image_size
    add     r2, r11, #(PAGE_MAP & 0xff)
    add     r2, r2, #(PAGE_MAP & 0xf00)
1:  strd    r2, r3, [r4], #8
    add     r2, r2, #0x1000
    subs    r5, r5, #0x1000
    bne     1b

    // Ourselves, where we are: a block of level 2. The window must not be there.
    lsr     r4, r11, #21
    add     r4, r1, r4, lsl #3
    ldr     r5, [r4]
    cmp     r5, #0
    bne     hang
    lsr     r2, r11, #21
    lsl     r2, r2, #21
    ldr     r5, =BLOCK_MAP
    orr     r2, r2, r5
    strd    r2, r3, [r4]

    // The tables were written past the caches, which may hold what was there before.
    ldr     r1, =_tables_end
    add     r1, r1, r8
    mov     r2, r0
    dsb
1:  mcr     p15, 0, r2, c7, c6, 1   // DCIMVAC
    add     r2, r2, #32             // no line is shorter
    cmp     r2, r1
    blo     1b

    bl      mmu_on
    ldr     sp, =_boot_stack
    ldr     r4, =_boot_fault_stack
    bl      fault_stacks
    mov     r0, r10
    mov     r1, r11
    mov     r2, r6
    mov     r3, r7
    mov     r11, #0             // the end of the chain of frames
    mov     lr, #0
    ldr     pc, =guest_boot

// Where PSCI starts other vCPUs, by physical address, with a context in r0: the address of
// { stack, fault stack, vCPU }, virtual, to be looked at once the MMU is on.
    .global guest_secondary_entry
guest_secondary_entry:
    cpsid   aif, #0x13
    mov     r10, r0
    adr     r11, _start
    ldr     r9, =_image_start
    sub     r8, r11, r9
    ldr     r0, =_tables
    add     r0, r0, r8
    bl      mmu_on
    ldm     r10, {r3, r4, r5}
    mov     sp, r3
    bl      fault_stacks
    mov     r0, r5
    mov     r11, #0
    mov     lr, #0
    ldr     pc, =guest_secondary

// Turns the MMU and caches on with tables at r0, and returns to the linked address of the caller.
// In: r8 physical minus virtual. Clobbers r1 to r4.
mmu_on:
    mov     r3, #0
    mcr     p15, 0, r3, c7, c5, 0   // ICIALLU
    mcr     p15, 0, r3, c7, c5, 6   // BPIALL
    mcr     p15, 0, r3, c8, c7, 0   // TLBIALL
    ldr     r1, =MAIR
    mcr     p15, 0, r1, c10, c2, 0  // MAIR0
    mcr     p15, 0, r3, c10, c2, 1  // MAIR1
    ldr     r1, =TTBCR
    mcr     p15, 0, r1, c2, c0, 2
    mcrr    p15, 0, r0, r3, c2      // TTBR0
    dsb
    isb
    mrc     p15, 0, r1, c1, c0, 0   // SCTLR
    ldr     r2, =0x1805             // I, Z, C, M
    orr     r1, r1, r2
    ldr     r2, =0x40002002         // TE: exceptions in ARM state; V: by VBAR; A: as we like
    bic     r1, r1, r2
    mcr     p15, 0, r1, c1, c0, 0
    isb
    ldr     r1, =arm32_vectors
    mcr     p15, 0, r1, c12, c0, 0  // VBAR
    isb
    sub     lr, lr, r8
    bx      lr

// Gives the modes that faults are taken to the stack that ends at r4. One after the other: only
// the first fault is ever handled.
fault_stacks:
    cps     #0x17               // abort
    mov     sp, r4
    cps     #0x1b               // undefined
    mov     sp, r4
    cps     #0x13
    bx      lr

// Nobody to tell: say that we crashed.
hang:
    mov     r0, #2              // SCHEDOP_shutdown
    adr     r1, crash
    mov     r12, #29            // sched_op
    hvc     #0xea1
1:  wfi
    b       1b
crash:
    .word   3                   // SHUTDOWN_crash

    .ltorg
