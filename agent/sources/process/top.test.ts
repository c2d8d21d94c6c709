import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeGate, makeTop } from './top.ts';

function values(...pairs: readonly (readonly [string, number])[]): ReadonlyMap<string, number> {
  return new Map(pairs);
}

test('makeTop() chooses the largest above the floor', () => {
  const choose = makeTop(2, 1);
  expect(choose(values(['a', 5], ['b', 9], ['c', 7], ['d', 0.5]))).toEqual(['b', 'c']);
});

test('makeTop() does not let go of one for a newcomer that is hardly larger', () => {
  const choose = makeTop(1, 0);
  expect(choose(values(['a', 10], ['b', 9]))).toEqual(['a']);
  expect(choose(values(['a', 10], ['b', 12]))).toEqual(['a']);
  expect(choose(values(['a', 10], ['b', 13]))).toEqual(['b']);
});

test('makeTop() shows who was busy for a while after that, and lets go in the end', () => {
  const choose = makeTop(5, 1);
  choose(values(['a', 4]));
  const shown = Array.from({ length: 10 }, () => choose(values(['a', 0])).length);
  expect(shown).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
});

test('makeTop() forgets who is gone', () => {
  const choose = makeTop(1, 0);
  choose(values(['a', 100]));
  choose(values(['b', 1]));
  expect(choose(values(['a', 1], ['b', 1]))).toEqual(['b']);
});

test('makeTop() never shows more than it may, nor what is not there, nor one twice', () => {
  const reading = fc.uniqueArray(
    fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.double({ min: 0, max: 1e9, noNaN: true })),
    {
      selector: ([key]) => key,
    },
  );
  fc.assert(
    fc.property(fc.array(reading), (readings) => {
      const choose = makeTop(3, 1);
      for (const pairs of readings) {
        const chosen = choose(new Map(pairs));
        expect(chosen.length).toBeLessThanOrEqual(3);
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.every((key) => pairs.some(([one]) => one === key))).toBe(true);
      }
    }),
  );
});

test('makeGate() lets so many newcomers in in a window, and who was in the one before is none', () => {
  const mayEnter = makeGate(2, 100);
  const ask = (keys: string, nowMs: number) =>
    keys
      .split('')
      .filter((key) => mayEnter(key, nowMs))
      .join('');
  expect(ask('abca', 0)).toBe('aba');
  expect(ask('abc', 99)).toBe('ab');
  expect(ask('cabde', 100)).toBe('cabd');
  expect(ask('e', 150)).toBe('');
  expect(ask('e', 50)).toBe('e'); // the clock was set back: a new window
});
