// From the loader to Rust at the link address.
//
// The loader enters _start at any 4 KiB aligned physical address below 512 GiB, MMU and data cache
// off, x0 = DTB (Linux's boot protocol for arm64). Two sets of stage-1 tables get us to the fixed
// link address without ever having one virtual address mean two things:
//
//   A: the 2 MiB of physical memory around `switch`, identity mapped, and the image at an alias;
//   B: the image at its link address and at the same alias. These become the run-time tables.
//
// The MMU goes on in the identity block, execution moves to the alias, tables change from A to B,
// execution moves to the link address. There are two alias slots that differ in bit 23; the one
// whose bit 23 is not that of `switch` is used, so it cannot collide with the identity block.
//
// Entered in EL1 (a loader's mistake), the same walk is done with the registers of EL1, so that Rust
// can say so on the console. In EL3 nothing can be said.
//
// Registers throughout: x7 physical minus link address, x8 DTB, x9 EL, x10 physical _start.

    .macro  load reg, value
    movz    \reg, #(((\value) >> 48) & 0xffff), lsl #48
    movk    \reg, #(((\value) >> 32) & 0xffff), lsl #32
    movk    \reg, #(((\value) >> 16) & 0xffff), lsl #16
    movk    \reg, #((\value) & 0xffff)
    .endm

    // The link address of a symbol, which is below 4 GiB.
    .macro  linked reg, sym
    movz    \reg, #:abs_g1:\sym
    movk    \reg, #:abs_g0_nc:\sym
    .endm

    .pushsection .head, "ax"
    .global _start
_start:
    b       primary
    .word   0
    .quad   0                       // at the start of 2 MiB
    .quad   _memory_size
    .quad   0xa                     // little endian, pages of 4 KiB, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0
    .word   _image_size             // how long the file is, with what the build appends to it

primary:
    msr     daifset, #0xf
    mov     x8, x0
    bl      where_we_are
    mov     x10, x0

    // Empty tables, in memory.
    linked  x0, {boot_tables}
    add     x0, x0, x7
    load    x1, {boot_tables_size}
    add     x1, x0, x1
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b

    bl      map_image
    bl      link_tables

    // Lines of these tables that the caches hold from before are stale.
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
    linked  x0, {boot_tables}
    add     x0, x0, x7
    load    x1, {boot_tables_size}
    add     x1, x0, x1
    dsb     sy
1:  dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    1b
    dsb     sy

    bl      mmu_on
    linked  x0, linked_primary
    br      x0

// Out: x0 = physical _start, x7, x9.
where_we_are:
    mrs     x9, currentel
    lsr     x9, x9, #2
    adr     x0, _start
    linked  x7, _start
    sub     x7, x0, x7
    ret

// Fills the page table of the image: text executable, constants readable, the rest writable.
map_image:
    linked  x0, {boot_tables}+{image_table}
    add     x0, x0, x7
    linked  x1, _start
    linked  x4, _rodata_start
    linked  x5, _data_start
    linked  x6, _memory_end
1:  load    x2, {page_text}
    load    x3, {execute_never}
    cmp     x1, x4
    csel    x3, x3, xzr, hs
    orr     x3, x2, x3
    bic     x2, x3, #{read_only}
    cmp     x1, x5
    csel    x3, x2, x3, hs
    add     x2, x1, x7
    orr     x3, x3, x2
    str     x3, [x0], #8
    add     x1, x1, #0x1000
    cmp     x1, x6
    b.lo    1b
    ret

// Links the tables of A and B to each other and enters the identity block.
link_tables:
    linked  x0, {boot_tables}+{image_table}
    add     x4, x0, x7
    orr     x4, x4, #{table}        // the descriptor that points to the image's pages
    linked  x5, {boot_tables}+{table_a2}
    add     x5, x5, x7
    linked  x6, {boot_tables}+{table_b2}
    add     x6, x6, x7
    adr     x0, switch
    load    x1, {alias_0}
    load    x2, {alias_1}
    tst     x0, #(1 << 23)
    csel    x1, x1, x2, ne
    lsr     x1, x1, #(21 - 3)       // offset of its entry in a level 2 table
    str     x4, [x5, x1]
    str     x4, [x6, x1]
    linked  x1, _start
    lsr     x1, x1, #(21 - 3)
    str     x4, [x6, x1]

    linked  x1, {boot_tables}
    add     x1, x1, x7              // level 1 of A, then of B
    orr     x2, x5, #{table}
    str     x2, [x1]
    orr     x2, x6, #{table}
    add     x3, x1, #{b_offset}
    str     x2, [x3]

    // The identity block goes into the level 2 table of its GiB: A's own, or a spare.
    lsr     x2, x0, #30
    cmp     x2, #512
    b.hs    hang
    cbz     x2, 1f
    linked  x5, {boot_tables}+{table_identity}
    add     x5, x5, x7
    orr     x4, x5, #{table}
    str     x4, [x1, x2, lsl #3]
1:  ubfx    x2, x0, #21, #9
    load    x4, {block_text}
    and     x0, x0, #~0x1fffff
    orr     x4, x4, x0
    str     x4, [x5, x2, lsl #3]
    ret

// Turns the MMU on. Returns at the alias, on tables B. Clobbers x0-x6, x12.
mmu_on:
    linked  x1, {boot_tables}
    add     x1, x1, x7              // level 1 of A
    add     x4, x1, #{b_offset}     // level 1 of B
    load    x0, {mair}
    load    x3, {tcr}
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xf            // size of physical addresses: 48 bits at the most
    mov     x5, #5
    cmp     x2, x5
    csel    x2, x2, x5, lo
    ic      iallu
    cmp     x9, #2
    b.lo    1f
    b.hi    hang
    msr     hcr_el2, xzr            // without the host extensions; who sets up EL1 comes later
    isb
    orr     x3, x3, x2, lsl #16     // TCR_EL2.PS
    msr     mair_el2, x0
    msr     tcr_el2, x3
    msr     ttbr0_el2, x1
    tlbi    alle2
    load    x0, {el2_control}
    b       2f
1:  load    x5, {tcr_el1}
    orr     x3, x5, x2, lsl #32     // TCR_EL1.IPS
    msr     mair_el1, x0
    msr     tcr_el1, x3
    msr     ttbr0_el1, x1
    tlbi    vmalle1
    load    x0, {el1_control}
2:  dsb     sy
    isb

    // Where `aliased` and our caller are at the alias.
    adr     x5, switch
    load    x6, {alias_0}
    load    x2, {alias_1}
    tst     x5, #(1 << 23)
    csel    x6, x6, x2, ne
    linked  x12, _start
    sub     x6, x6, x12             // alias minus link address
    linked  x12, aliased
    add     x12, x12, x6
    sub     x30, x30, x7
    add     x30, x30, x6
    cmp     x9, #2
    b       switch

    .balign 64                      // so that it lies in one identity block
switch:
    b.ne    1f
    msr     sctlr_el2, x0
    isb
    br      x12
1:  msr     sctlr_el1, x0
    isb
    br      x12

aliased:
    b.ne    1f
    msr     ttbr0_el2, x4
    isb
    tlbi    alle2
    b       2f
1:  msr     ttbr0_el1, x4
    isb
    tlbi    vmalle1
2:  dsb     sy
    isb
    ret

linked_primary:
    linked  x0, _data_start
    linked  x1, _data_end
    linked  x2, _data_load
1:  cmp     x0, x1
    b.hs    2f
    ldp     x3, x4, [x2], #16
    stp     x3, x4, [x0], #16
    b       1b
2:  linked  x0, _bss_start
    linked  x1, _bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  linked  x0, _stack_top
    msr     spsel, #1
    mov     sp, x0
    mov     x29, #0                 // backtraces end here
    mov     x30, #0
    mov     x0, x8
    mov     x1, x10
    mov     x2, x9
    b       {primary_entry}

// Where PSCI starts the other CPUs, in EL2. The stack is the one that `SECONDARY_STACK` names.
    .global secondary_start
secondary_start:
    msr     daifset, #0xf
    bl      where_we_are
    bl      mmu_on
    linked  x0, linked_secondary
    br      x0
linked_secondary:
    linked  x0, {secondary_stack}
    ldr     x0, [x0]
    msr     spsel, #1
    mov     sp, x0
    mov     x29, #0
    mov     x30, #0
    b       {secondary_entry}

hang:
    wfi
    b       hang
    .popsection
