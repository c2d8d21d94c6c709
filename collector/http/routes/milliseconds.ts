import * as v from 'valibot';

/** Unix milliseconds in a query. */
export const MILLISECONDS = v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number));
