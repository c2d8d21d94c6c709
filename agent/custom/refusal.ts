/** Why a value of others is not taken, in a word, and in words for who sent it. */
export const REFUSALS = {
  limit: 'there are as many series as there may be',
  malformed: 'it cannot be read',
  name: 'the name has no letter at its beginning, is too long, or is not plain ASCII',
  reserved: "the name is one of Muster's own, which begin with system, process, container, hw, systemd or muster",
  labels: 'labels are too many, too long, twice, or not plain text',
  value: 'it is no number that such a metric can have',
  kind: 'the metric is known with another kind or unit',
  origin: 'another process tells the same series: set service.instance.id, another one in each process',
  taken:
    'the series is there twice, or another source, scope or process tells it: each needs a name or a label of its own',
} as const;
export type Refusal = keyof typeof REFUSALS;
