-- Requests of wrk. Arguments: "submit_order" or "newest_orders", the file of tokens, a seed.
-- At the end it prints a line of JSON: requests, errors, seconds, latencies in milliseconds.

local PRODUCTS, LINES = 1000, 5

local tokens = {}
local prefix, number = "", 0

local function headers()
  return {
    ["Authorization"] = "Bearer " .. tokens[math.random(#tokens)],
    ["Content-Type"] = "application/json",
    ["X-Forwarded-For"] = "203.0.113.7",
  }
end

local function order()
  local first, lines = math.random(PRODUCTS), {}
  for line = 1, LINES do
    -- 7 has no factor in common with PRODUCTS: the lines are different products.
    lines[line] = string.format('{"sku":"BENCH-%d","quantity":2}', (first + 7 * line) % PRODUCTS + 1)
  end
  number = number + 1
  local body = string.format(
    '{"items":[%s],"points":0,"idempotency_key":"%s-%d"}', table.concat(lines, ","), prefix, number)
  return wrk.format("POST", "/rpc/submit_order", headers(), body)
end

local function list()
  return wrk.format("GET", "/orders?order=created_at.desc&limit=20", headers())
end

function init(arguments)
  for token in io.lines(arguments[2]) do
    tokens[#tokens + 1] = token
  end
  prefix = arguments[3]
  math.randomseed(tonumber(arguments[3]))
  request = arguments[1] == "submit_order" and order or list
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"errors":%d,"seconds":%f,"p50_ms":%f,"p95_ms":%f}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3))
end
