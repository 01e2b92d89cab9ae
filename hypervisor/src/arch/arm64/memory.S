// Copying and filling memory, many words at a time: the compiler's own functions, which it also calls
// to move its values, do one.
//
// Copies 64 bytes from x1 to x3, and moves both on.
    .macro  copy64
    ldp     x4, x5, [x1], #64
    ldp     x6, x7, [x1, #-48]
    ldp     x8, x9, [x1, #-32]
    ldp     x10, x11, [x1, #-16]
    stp     x4, x5, [x3], #64
    stp     x6, x7, [x3, #-48]
    stp     x8, x9, [x3, #-32]
    stp     x10, x11, [x3, #-16]
    .endm

// copy_bytes(x0 = to, x1 = from, x2 = bytes) -> x0; the ranges do not overlap. Aligned words, and
// half words, are copied as such.
    .pushsection .text.copy_bytes, "ax"
    .global copy_bytes
    .global memcpy
    .type   copy_bytes, %function
    .type   memcpy, %function
copy_bytes:
memcpy:
    mov     x3, x0
    orr     x4, x0, x1
    tst     x4, #7
    b.ne    4f
    subs    x2, x2, #256
    b.lo    2f
1:  copy64
    copy64
    copy64
    copy64
    subs    x2, x2, #256
    b.hs    1b
2:  // Bits 7 to 0 of x2 say what is left.
    ands    x2, x2, #255
    b.eq    8f
    tbz     x2, #7, 1f
    copy64
    copy64
1:  tbz     x2, #6, 3f
    copy64
3:  tbz     x2, #5, 1f
    ldp     x4, x5, [x1], #32
    ldp     x6, x7, [x1, #-16]
    stp     x4, x5, [x3], #32
    stp     x6, x7, [x3, #-16]
1:  tbz     x2, #4, 1f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x3], #16
1:  tbz     x2, #3, 3f
    ldr     x4, [x1], #8
    str     x4, [x3], #8
3:  tbz     x2, #2, 1f
    ldr     w4, [x1], #4
    str     w4, [x3], #4
1:  tbz     x2, #1, 1f
    ldrh    w4, [x1], #2
    strh    w4, [x3], #2
1:  tbz     x2, #0, 1f
    ldrb    w4, [x1]
    strb    w4, [x3]
1:
8:  ret

4:  tst     x4, #3
    b.ne    6f
    subs    x2, x2, #4
    b.lo    5f
1:  ldr     w5, [x1], #4
    subs    x2, x2, #4
    str     w5, [x3], #4
    b.hs    1b
5:  tbz     x2, #1, 1f              // bits 1 and 0 are still right
    ldrh    w5, [x1], #2
    strh    w5, [x3], #2
1:  tbz     x2, #0, 1f
    ldrb    w5, [x1]
    strb    w5, [x3]
1:  ret

6:  tst     x4, #1
    b.ne    8f
    subs    x2, x2, #2
    b.lo    7f
1:  ldrh    w5, [x1], #2
    subs    x2, x2, #2
    strh    w5, [x3], #2
    b.hs    1b
7:  add     x2, x2, #2
8:  cbz     x2, 9f
1:  ldrb    w5, [x1], #1
    subs    x2, x2, #1
    strb    w5, [x3], #1
    b.ne    1b
9:  ret
    .popsection

// fill_bytes(x0 = to, w1 = byte, x2 = bytes) -> x0
    .pushsection .text.fill_bytes, "ax"
    .global fill_bytes
    .global memset
    .type   fill_bytes, %function
    .type   memset, %function
fill_bytes:
memset:
    mov     x3, x0
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
1:  tst     x3, #7
    b.eq    2f
    cbz     x2, 9f
    strb    w1, [x3], #1
    sub     x2, x2, #1
    b       1b
2:  subs    x2, x2, #64
    b.lo    4f
3:  stp     x1, x1, [x3]
    stp     x1, x1, [x3, #16]
    stp     x1, x1, [x3, #32]
    stp     x1, x1, [x3, #48]
    add     x3, x3, #64
    subs    x2, x2, #64
    b.hs    3b
4:  add     x2, x2, #64
5:  subs    x2, x2, #8
    b.lo    6f
    str     x1, [x3], #8
    b       5b
6:  add     x2, x2, #8
    cbz     x2, 9f
7:  strb    w1, [x3], #1
    subs    x2, x2, #1
    b.ne    7b
9:  ret
    .popsection
