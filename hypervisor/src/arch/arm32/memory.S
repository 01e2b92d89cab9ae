@ Copying and filling memory, many words at a time: the compiler's own functions, which it also calls
@ to move its values, do one.
@
@ copy_bytes(r0 = to, r1 = from, r2 = bytes) -> r0; the ranges do not overlap. Aligned words, and
@ half words, are copied as such.
    .arm
    .pushsection .text.copy_bytes, "ax"
    .global copy_bytes
    .global memcpy
    .global __aeabi_memcpy
    .global __aeabi_memcpy4
    .global __aeabi_memcpy8
    .irp    name, copy_bytes, memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8
    .type   \name, %function
    .endr
copy_bytes:
memcpy:
__aeabi_memcpy:
    orr     r3, r0, r1
    tst     r3, #3
    bne     4f
__aeabi_memcpy4:
__aeabi_memcpy8:
    mov     r12, r0
    subs    r2, r2, #32
    blo     2f
    push    {{r4-r9, lr}}
    subs    r2, r2, #32
    blo     3f
1:  ldm     r1!, {{r3-r9, lr}}
    subs    r2, r2, #64
    stm     r12!, {{r3-r9, lr}}
    ldm     r1!, {{r3-r9, lr}}
    stm     r12!, {{r3-r9, lr}}
    bhs     1b
3:  tst     r2, #32
    ldmne   r1!, {{r3-r9, lr}}
    stmne   r12!, {{r3-r9, lr}}
    pop     {{r4-r9, lr}}
2:  @ Bits 4 to 0 of r2 say what is left.
    tst     r2, #31
    bxeq    lr
    push    {{r4, r5}}
    lsls    r3, r2, #28             @ C: bit 4, N: bit 3
    ldmcs   r1!, {{r3-r5}}
    stmcs   r12!, {{r3-r5}}
    ldrcs   r3, [r1], #4
    strcs   r3, [r12], #4
    ldmmi   r1!, {{r3, r4}}
    stmmi   r12!, {{r3, r4}}
    pop     {{r4, r5}}
    lsls    r3, r2, #30             @ C: bit 2, N: bit 1
    ldrcs   r3, [r1], #4
    strcs   r3, [r12], #4
    ldrhmi  r3, [r1], #2
    strhmi  r3, [r12], #2
    tst     r2, #1
    ldrbne  r3, [r1]
    strbne  r3, [r12]
    bx      lr

4:  mov     r12, r0
    tst     r3, #1
    bne     6f
    subs    r2, r2, #2
    blo     5f
1:  ldrh    r3, [r1], #2
    subs    r2, r2, #2
    strh    r3, [r12], #2
    bhs     1b
5:  add     r2, r2, #2
6:  cmp     r2, #0
    bxeq    lr
7:  ldrb    r3, [r1], #1
    subs    r2, r2, #1
    strb    r3, [r12], #1
    bne     7b
    bx      lr
    .popsection

@ fill_bytes(r0 = to, r1 = byte, r2 = bytes) -> r0
    .pushsection .text.fill_bytes, "ax"
    .global fill_bytes
    .global memset
    .global __aeabi_memset
    .global __aeabi_memset4
    .global __aeabi_memset8
    .global __aeabi_memclr
    .global __aeabi_memclr4
    .global __aeabi_memclr8
    .irp    name, fill_bytes, memset, __aeabi_memset, __aeabi_memset4, __aeabi_memset8
    .type   \name, %function
    .endr
    .irp    name, __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8
    .type   \name, %function
    .endr
__aeabi_memclr:
__aeabi_memclr4:
__aeabi_memclr8:
    mov     r2, #0
__aeabi_memset:
__aeabi_memset4:
__aeabi_memset8:
    mov     r3, r1                  @ length before byte, here
    mov     r1, r2
    mov     r2, r3
fill_bytes:
memset:
    mov     r12, r0
    cmp     r2, #4
    blo     4f
1:  tst     r12, #3
    strbne  r1, [r12], #1
    subne   r2, r2, #1
    bne     1b
    and     r1, r1, #0xff
    orr     r1, r1, r1, lsl #8
    orr     r1, r1, r1, lsl #16
    subs    r2, r2, #32
    blo     3f
    push    {{r4-r8, lr}}
    mov     r3, r1
    mov     r4, r1
    mov     r5, r1
    mov     r6, r1
    mov     r7, r1
    mov     r8, r1
    mov     lr, r1
2:  stm     r12!, {{r1, r3-r8, lr}}
    subs    r2, r2, #32
    bhs     2b
    pop     {{r4-r8, lr}}
3:  adds    r2, r2, #32
    bxeq    lr
    subs    r2, r2, #4
    blo     6f
5:  str     r1, [r12], #4
    subs    r2, r2, #4
    bhs     5b
6:  add     r2, r2, #4
4:  cmp     r2, #0
    bxeq    lr
7:  strb    r1, [r12], #1
    subs    r2, r2, #1
    bne     7b
    bx      lr
    .popsection
