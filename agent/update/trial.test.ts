import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  beginTrial,
  chooseStart,
  confirm,
  drop,
  fail,
  goBack,
  judge,
  mayTry,
  NO_COURSE,
  parseCourse,
  STARTS_MAX,
  type Course,
} from './trial.ts';

const DAY_MS = 86_400_000;
const two = { version: '0.2.0', sha256: '2' };
const three = { version: '0.3.0', sha256: '3' };
const onTwo = confirm(beginTrial(NO_COURSE, two));

test.for([
  // course, the version that is installed, what runs, how often it was started then
  [NO_COURSE, '0.1.0', null, null],
  [onTwo, '0.1.0', two, null],
  [onTwo, '0.2.0', null, null], // installed anew meanwhile
  [beginTrial(onTwo, three), '0.1.0', three, 1],
  [{ ...beginTrial(onTwo, three), starts: 1 }, '0.1.0', three, 2],
  [{ ...beginTrial(onTwo, three), starts: STARTS_MAX }, '0.1.0', two, null],
  [{ ...beginTrial(NO_COURSE, three), starts: STARTS_MAX }, '0.1.0', null, null],
] as const)('chooseStart(%j, %s) runs %j', ([course, installed, run, starts]) => {
  const choice = chooseStart(course, installed);
  expect([choice.run, choice.course.starts]).toEqual([run, starts]);
});

test('a version that goes back is suspect, and at fault only if the one before it reports', () => {
  const back = goBack(beginTrial(onTwo, three));
  expect(back).toEqual({ ...onTwo, previous: null, suspect: three });
  expect(judge(back, false, 0)).toEqual({ ...back, suspect: null });
  expect(mayTry(judge(back, false, 0), '3', 0)).toBe(true);
  expect(mayTry(judge(back, true, 0), '3', 0)).toBe(false);
});

test('a version that failed is tried once more, a day later, and others at once', () => {
  const once = fail(onTwo, '3', 0);
  expect([DAY_MS - 1, DAY_MS, -DAY_MS].map((nowMs) => mayTry(once, '3', nowMs))).toEqual([false, true, true]);
  expect(mayTry(once, '3 mended', 0)).toBe(true);
  expect(mayTry(fail(once, '3', DAY_MS), '3', 10 * DAY_MS)).toBe(false);
});

test('a damaged binary is no fault of its version', () => {
  expect(drop(beginTrial(onTwo, three))).toEqual({ ...onTwo, previous: null });
});

const anyVersion = fc.option(
  fc.record({ version: fc.constantFrom('0.1.0', '0.2.0', '0.3.0', 'x'), sha256: fc.string() }),
);
const anyCourse: fc.Arbitrary<Course> = fc.record({
  active: anyVersion,
  previous: anyVersion,
  starts: fc.option(fc.integer()),
  suspect: anyVersion,
  failures: fc.array(fc.record({ sha256: fc.string(), count: fc.integer(), atMs: fc.integer() }), { maxLength: 16 }),
});

test('whatever is written down, what runs is newer than what is installed, and never more often on trial than may be', () => {
  fc.assert(
    fc.property(anyCourse, fc.constantFrom('0.1.0', '0.2.0'), (course, installed) => {
      const { run, course: next } = chooseStart(course, installed);
      expect(run === null || run.version > installed).toBe(true);
      expect(run === null || next.starts === null || next.starts <= STARTS_MAX).toBe(true);
    }),
  );
});

test('whatever comes of it, a version that fails is started twice in a day at most', () => {
  const steps = fc.array(fc.constantFrom('start', 'offer', 'silent', 'reported'), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (all) => {
      let course = NO_COURSE;
      let starts = 0;
      for (const step of all) {
        // Nobody looks for another version before the suspect is judged.
        const isLooking = course.active === null && course.suspect === null;
        if (step === 'offer' && isLooking && mayTry(course, '2', 0)) course = beginTrial(course, two);
        if (step === 'silent' && course.active !== null) course = goBack(course);
        if (step === 'reported' && course.active === null) course = judge(course, true, 0);
        if (step !== 'start') continue;
        const choice = chooseStart(course, '0.1.0');
        if (choice.run !== null) starts += 1;
        ({ course } = choice);
      }
      expect(starts).toBeLessThanOrEqual(STARTS_MAX);
    }),
  );
});

test('parseCourse() reads what was written, and takes anything else for nothing', () => {
  fc.assert(
    fc.property(anyCourse, (course) => {
      expect(parseCourse(JSON.stringify(course))).toEqual(course);
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(parseCourse(text).failures).toBeInstanceOf(Array);
    }),
  );
  for (const text of ['', '{', '[]', '{"active":{"version":1}}']) expect(parseCourse(text)).toEqual(NO_COURSE);
});
