/** A tick of the counts in /proc is a hundredth of a second on every machine (USER_HZ), whatever the kernel's own is. */
export const TICKS_PER_SECOND = 100;
