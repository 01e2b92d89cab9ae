@ From the loader to Rust at the link address.
@
@ The loader enters _start at any 4 KiB aligned physical address, MMU and data cache off, r2 = DTB.
@ Two sets of stage-1 tables get us to the fixed link address without ever having one virtual
@ address mean two things:
@
@   A: the 2 MiB of physical memory around `switch`, identity mapped, and the image at an alias;
@   B: the image at its link address and at the same alias. These become the run-time tables.
@
@ The MMU goes on in the identity block, execution moves to the alias, tables change from A to B,
@ execution moves to the link address. There are two alias slots that differ in bit 23; the one
@ whose bit 23 is not that of `switch` is used, so it cannot collide with the identity block.
@
@ Entered in another mode than HYP (a loader's mistake), the same walk is done with the registers
@ of that mode, so that Rust can say so on the console.
@
@ Registers throughout: r7 physical minus link address, r8 DTB, r9 mode, r10 physical _start.

    .arch_extension virt
    .arch_extension sec
    .arm

    .macro adrl reg, sym
    movw    \reg, #:lower16:\sym
    movt    \reg, #:upper16:\sym
    .endm

    .pushsection .head, "ax"
    .global _start
_start:
    .rept   8
    nop
    .endr
    b       primary
    .word   0x016f2818              @ zImage magic, at 0x24
    .word   0                       @ start: wherever it is loaded
    .word   _image_size             @ end: the build puts here what it appends to the file as well
    .word   0x04030201              @ endianness

primary:
    cpsid   aif
    mov     r8, r2
    bl      where_we_are
    mov     r10, r0

    @ Empty tables, in memory.
    adrl    r0, {boot_tables}
    add     r0, r0, r7
    add     r1, r0, #{boot_tables_size}
    mov     r2, #0
    mov     r3, #0
    mov     r4, #0
    mov     r5, #0
1:  stm     r0!, {{r2-r5}}
    stm     r0!, {{r2-r5}}
    cmp     r0, r1
    blo     1b

    bl      map_image
    bl      link_tables

    @ Lines of these tables that the caches hold from before are stale.
    adrl    r0, {boot_tables}
    add     r0, r0, r7
    add     r1, r0, #{boot_tables_size}
    dsb
1:  mcr     p15, 0, r0, c7, c6, 1   @ DCIMVAC
    add     r0, r0, #{min_cache_line}
    cmp     r0, r1
    blo     1b
    dsb

    bl      mmu_on
    adrl    r0, linked_primary
    bx      r0

@ Out: r0 = physical _start, r7, r9.
where_we_are:
    mrs     r9, cpsr
    and     r9, r9, #0x1f
    adr     r0, _start
    adrl    r7, _start
    sub     r7, r0, r7
    bx      lr

@ Fills the page table of the image: text executable, constants readable, the rest writable.
map_image:
    adrl    r0, {boot_tables}+{image_table}
    add     r0, r0, r7
    adrl    r1, _start
    adrl    r4, _rodata_start
    adrl    r5, _data_start
    adrl    r6, _memory_end
1:  adrl    r2, {page_text}
    mov     r3, #0
    cmp     r1, r4
    movhs   r3, #{execute_never}
    cmp     r1, r5
    bichs   r2, r2, #{read_only}
    add     r12, r1, r7
    orr     r2, r2, r12
    strd    r2, r3, [r0], #8
    add     r1, r1, #0x1000
    cmp     r1, r6
    blo     1b
    bx      lr

@ Links the tables of A and B to each other and enters the identity block.
link_tables:
    mov     r3, #0
    adrl    r0, {boot_tables}+{image_table}
    add     r4, r0, r7
    orr     r4, r4, #{table}        @ the descriptor that points to the image's pages
    adrl    r5, {boot_tables}+{table_a2}
    add     r5, r5, r7
    adrl    r6, {boot_tables}+{table_b2}
    add     r6, r6, r7
    adr     r0, switch
    tst     r0, #(1 << 23)
    movne   r1, #{alias_0}
    moveq   r1, #{alias_1}
    lsr     r1, r1, #(21 - 3)       @ offset of its entry in a level 2 table
    add     r2, r5, r1
    str     r4, [r2]
    add     r2, r6, r1
    str     r4, [r2]
    adrl    r1, _start
    lsr     r1, r1, #(21 - 3)
    str     r4, [r6, r1]

    adrl    r1, {boot_tables}
    add     r1, r1, r7              @ level 1 of A, then of B
    orr     r2, r5, #{table}
    str     r2, [r1]
    orr     r2, r6, #{table}
    str     r2, [r1, #{b_offset}]

    @ The identity block goes into the level 2 table of its GiB: A's own, or a spare.
    lsr     r2, r0, #30
    cmp     r2, #0
    beq     1f
    adrl    r5, {boot_tables}+{table_identity}
    add     r5, r5, r7
    orr     r4, r5, #{table}
    str     r4, [r1, r2, lsl #3]
1:  lsr     r2, r0, #21
    adrl    r4, {block_text}
    orr     r4, r4, r2, lsl #21
    bfc     r2, #9, #2
    str     r4, [r5, r2, lsl #3]
    bx      lr

@ Turns the MMU on. Returns at the alias, on tables B. Clobbers r0-r6, r12.
mmu_on:
    adrl    r1, {boot_tables}
    add     r1, r1, r7              @ level 1 of A
    add     r4, r1, #{b_offset}     @ level 1 of B
    mov     r2, #0
    adrl    r0, {mair}
    adrl    r3, {tcr}
    cmp     r9, #{mode_hyp}
    bne     1f
    mcr     p15, 4, r0, c10, c2, 0  @ HMAIR0
    mcr     p15, 4, r2, c10, c2, 1  @ HMAIR1
    mcr     p15, 4, r3, c2, c0, 2   @ HTCR
    mcrr    p15, 4, r1, r2, c2      @ HTTBR
    mcr     p15, 4, r2, c8, c7, 0   @ TLBIALLH
    adrl    r0, {hyp_control}
    b       2f
1:  mcr     p15, 0, r0, c10, c2, 0  @ MAIR0
    mcr     p15, 0, r3, c2, c0, 2   @ TTBCR: bit 31, reserved in HTCR, selects the long format
    mcrr    p15, 0, r1, r2, c2      @ TTBR0
    mcr     p15, 0, r2, c8, c7, 0   @ TLBIALL
    mrc     p15, 0, r0, c1, c0, 0   @ SCTLR
    adrl    r3, {control_on}
    orr     r0, r0, r3
2:  mcr     p15, 0, r2, c7, c5, 0   @ ICIALLU
    mcr     p15, 0, r2, c7, c5, 6   @ BPIALL
    dsb
    isb

    @ Where `aliased` and our caller are at the alias.
    adr     r5, switch
    tst     r5, #(1 << 23)
    movne   r6, #{alias_0}
    moveq   r6, #{alias_1}
    adrl    r12, _start
    sub     r6, r6, r12             @ alias minus link address
    adrl    r12, aliased
    add     r12, r12, r6
    sub     lr, lr, r7
    add     lr, lr, r6
    cmp     r9, #{mode_hyp}
    b       switch

    .balign 64                      @ so that it lies in one identity block
switch:
    mcreq   p15, 4, r0, c1, c0, 0   @ HSCTLR
    mcrne   p15, 0, r0, c1, c0, 0   @ SCTLR
    isb
    bx      r12

aliased:
    mcrreq  p15, 4, r4, r2, c2      @ HTTBR
    mcrrne  p15, 0, r4, r2, c2      @ TTBR0
    isb
    mcreq   p15, 4, r2, c8, c7, 0   @ TLBIALLH
    mcrne   p15, 0, r2, c8, c7, 0   @ TLBIALL
    dsb
    isb
    bx      lr

linked_primary:
    adrl    r0, _data_start
    adrl    r1, _data_end
    adrl    r2, _data_load
1:  cmp     r0, r1
    ldrdlo  r4, r5, [r2], #8
    strdlo  r4, r5, [r0], #8
    blo     1b
    adrl    r0, _bss_start
    adrl    r1, _bss_end
    mov     r2, #0
    mov     r3, #0
1:  cmp     r0, r1
    strdlo  r2, r3, [r0], #8
    blo     1b
    adrl    sp, _stack_top
    mov     r{frame_pointer}, #0                  @ backtraces end here
    mov     lr, #0
    mov     r0, r8
    mov     r1, r10
    mov     r2, r9
    adrl    r12, {primary_entry}    @ maybe Thumb code
    bx      r12

@ Where PSCI starts the other CPUs, in HYP mode. The stack is the one that `SECONDARY_STACK` names.
    .global secondary_start
secondary_start:
    cpsid   aif
    bl      where_we_are
    bl      mmu_on
    adrl    r0, linked_secondary
    bx      r0
linked_secondary:
    adrl    r0, {secondary_stack}
    ldr     sp, [r0]
    mov     r{frame_pointer}, #0
    mov     lr, #0
    adrl    r12, {secondary_entry}
    bx      r12
    .popsection
