-- Requests of wrk. Arguments: the name of a request below, the file of tokens, a seed. "catalogue_known" sends the
-- ETags of the file etags.txt beside it.
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

local COLUMNS = "id,sku,name,description,brand_id,category_id,price,min_qty_discount,discount_price,retail_price,image_url"
local etags

local function view()
  return wrk.format("GET", "/products?select=" .. COLUMNS .. "&is_active=is.true", headers())
end

local function catalogue()
  local sent = headers()
  sent["Accept-Encoding"] = "gzip"
  sent["If-None-Match"] = etags
  return wrk.format("GET", "/catalogue", sent)
end

local requests = {
  submit_order = order, newest_orders = list, catalogue_view = view, catalogue = catalogue, catalogue_known = catalogue,
}

function init(arguments)
  for token in io.lines(arguments[2]) do
    tokens[#tokens + 1] = token
  end
  prefix = arguments[3]
  math.randomseed(tonumber(arguments[3]))
  if arguments[1] == "catalogue_known" then
    etags = io.open(arguments[2]:match(".*/") .. "etags.txt"):read()
  end
  request = requests[arguments[1]]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"errors":%d,"seconds":%f,"p50_ms":%f,"p95_ms":%f}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3))
end
