/** What a promise resolves to, or `late` where that takes longer; what it comes to then is nobody's. */
export async function within<T, L>(promise: Promise<T>, waitMs: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<L>((resolve) => {
    timer = setTimeout(resolve, waitMs, late);
  });
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}
