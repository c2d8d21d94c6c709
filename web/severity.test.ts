import { expect, test } from 'vitest';

import { rateSeverity, THRESHOLDS } from './severity.ts';

test.for([
  [null, 'cpu', 'normal'],
  [0.69, 'cpu', 'normal'],
  [0.7, 'cpu', 'warning'],
  [0.9, 'cpu', 'critical'],
  [0.75, 'memory', 'warning'],
  [0.79, 'disk', 'normal'],
  [0.949, 'disk', 'warning'],
  [1, 'disk', 'critical'],
] as const)('rateSeverity(%o, %s) is %s', ([ratio, resource, severity]) =>
  expect(rateSeverity(ratio, THRESHOLDS[resource])).toBe(severity),
);
