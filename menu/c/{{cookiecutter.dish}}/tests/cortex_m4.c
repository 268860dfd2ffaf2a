/* What a Cortex-M4 starts with: its stack pointer, and where to begin. */
extern char stack_top[];
extern void _start(void);

__attribute__((section(".vectors"), used)) const void *const vectors[] = {stack_top, (void *)_start};
