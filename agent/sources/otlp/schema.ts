import type { Schema } from './protobuf.ts';

// What is read of an export of metrics. The names are those of its JSON form. Source: opentelemetry-proto v1,
// opentelemetry/proto/{collector/metrics,metrics,common,resource}/v1.

/** Of a list, a map and bytes only that they are there, for no value at all is something else. */
const ANY_VALUE: Schema = {
  1: { name: 'stringValue', type: 'string' },
  2: { name: 'boolValue', type: 'bool' },
  3: { name: 'intValue', type: 'int64' },
  4: { name: 'doubleValue', type: 'double' },
  5: { name: 'arrayValue', type: 'message', schema: {} },
  6: { name: 'kvlistValue', type: 'message', schema: {} },
  7: { name: 'bytesValue', type: 'string' },
};

const KEY_VALUE: Schema = {
  1: { name: 'key', type: 'string' },
  2: { name: 'value', type: 'message', schema: ANY_VALUE },
};

const TIMES: Schema = {
  2: { name: 'startTimeUnixNano', type: 'fixed64' },
  3: { name: 'timeUnixNano', type: 'fixed64' },
};

const ATTRIBUTES = { name: 'attributes', type: 'message', schema: KEY_VALUE, list: true } as const;

const NUMBER_POINT: Schema = {
  ...TIMES,
  4: { name: 'asDouble', type: 'double' },
  6: { name: 'asInt', type: 'sfixed64' },
  7: ATTRIBUTES,
  8: { name: 'flags', type: 'uint64' },
};

const HISTOGRAM_POINT: Schema = {
  ...TIMES,
  4: { name: 'count', type: 'fixed64' },
  5: { name: 'sum', type: 'double' },
  6: { name: 'bucketCounts', type: 'fixed64', list: true },
  7: { name: 'explicitBounds', type: 'double', list: true },
  9: ATTRIBUTES,
  10: { name: 'flags', type: 'uint64' },
  11: { name: 'min', type: 'double' },
  12: { name: 'max', type: 'double' },
};

const BUCKETS: Schema = {
  1: { name: 'offset', type: 'sint32' },
  2: { name: 'bucketCounts', type: 'uint64', list: true },
};

const EXPONENTIAL_POINT: Schema = {
  ...TIMES,
  1: ATTRIBUTES,
  4: { name: 'count', type: 'fixed64' },
  5: { name: 'sum', type: 'double' },
  6: { name: 'scale', type: 'sint32' },
  7: { name: 'zeroCount', type: 'fixed64' },
  8: { name: 'positive', type: 'message', schema: BUCKETS },
  9: { name: 'negative', type: 'message', schema: BUCKETS },
  10: { name: 'flags', type: 'uint64' },
  12: { name: 'min', type: 'double' },
  13: { name: 'max', type: 'double' },
  14: { name: 'zeroThreshold', type: 'double' },
};

const QUANTILE: Schema = { 1: { name: 'quantile', type: 'double' }, 2: { name: 'value', type: 'double' } };

const SUMMARY_POINT: Schema = {
  ...TIMES,
  4: { name: 'count', type: 'fixed64' },
  5: { name: 'sum', type: 'double' },
  6: { name: 'quantileValues', type: 'message', schema: QUANTILE, list: true },
  7: ATTRIBUTES,
  8: { name: 'flags', type: 'uint64' },
};

const TEMPORALITY = { name: 'aggregationTemporality', type: 'uint64' } as const;

function pointsOf(schema: Schema): Schema {
  return {
    1: { name: 'dataPoints', type: 'message', schema, list: true },
    2: TEMPORALITY,
    3: { name: 'isMonotonic', type: 'bool' },
  };
}

const METRIC: Schema = {
  1: { name: 'name', type: 'string' },
  3: { name: 'unit', type: 'string' },
  5: { name: 'gauge', type: 'message', schema: pointsOf(NUMBER_POINT) },
  7: { name: 'sum', type: 'message', schema: pointsOf(NUMBER_POINT) },
  9: { name: 'histogram', type: 'message', schema: pointsOf(HISTOGRAM_POINT) },
  10: { name: 'exponentialHistogram', type: 'message', schema: pointsOf(EXPONENTIAL_POINT) },
  11: { name: 'summary', type: 'message', schema: pointsOf(SUMMARY_POINT) },
};

const SCOPE_METRICS: Schema = {
  1: { name: 'scope', type: 'message', schema: { 1: { name: 'name', type: 'string' } } },
  2: { name: 'metrics', type: 'message', schema: METRIC, list: true },
};

const RESOURCE_METRICS: Schema = {
  1: { name: 'resource', type: 'message', schema: { 1: ATTRIBUTES } },
  2: { name: 'scopeMetrics', type: 'message', schema: SCOPE_METRICS, list: true },
};

export const EXPORT_METRICS_REQUEST: Schema = {
  1: { name: 'resourceMetrics', type: 'message', schema: RESOURCE_METRICS, list: true },
};
