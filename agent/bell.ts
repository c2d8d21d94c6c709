export type Bell = { readonly ring: () => void; readonly wait: () => Promise<null> };

/** Wakes the one who waits. Rung while nobody does, it keeps that in mind: the next one to wait does not. */
export function makeBell(): Bell {
  let rung = Promise.withResolvers<null>();
  return {
    ring: () => rung.resolve(null),
    wait: async () => {
      await rung.promise;
      rung = Promise.withResolvers<null>();
      return null;
    },
  };
}
