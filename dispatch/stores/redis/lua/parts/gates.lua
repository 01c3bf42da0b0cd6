-- A queue's gates: pause, concurrency, rate. Settings are the hash qs:<queue>; slots sl:<queue> by the end of their lease.
local ROUNDING = 1e-6
local CENTURY = 3155760000

local function live_slots(queue)
  return call('ZCOUNT', P .. 'sl:' .. queue, '(' .. NOW_TEXT, '+inf')
end

-- Rate tokens now, refilled.
local function tokens_now(rate, burst, tokens, at)
  local most = tonumber(burst) or math.max(1, rate)
  return math.min(most, tokens + math.max(0, NOW - at) / 1e6 * rate)
end

-- The gate as it stands: free places, tokens, when a pause ends.
local function gate(queue)
  local found = call('HMGET', P .. 'qs:' .. queue, 'mc', 'rl', 'rb', 'tc', 'tok', 'at', 'ps', 'pu')
  local most, rate, pause_ends = tonumber(found[1]), tonumber(found[2]), tonumber(found[8])
  local this = {queue = queue, free = math.huge, tenant_limit = tonumber(found[4]), rate = rate}
  if found[7] and (not pause_ends or pause_ends > NOW) then
    this.paused, this.pause_ends = true, pause_ends
  end
  if most then
    this.free = math.max(0, most - running_in(queue) - live_slots(queue))
  end
  if rate then
    this.tokens = tokens_now(rate, found[3], tonumber(found[5] or 0), tonumber(found[6] or 0))
  end
  return this
end

-- How many jobs may start now.
local function room(this)
  if this.paused then
    return 0
  end
  return this.tokens and math.min(this.free, math.floor(this.tokens + ROUNDING)) or this.free
end

-- When there is room by time alone; nil: only when somebody acts.
local function opens_at(this)
  local moment = this.paused and this.pause_ends or NOW
  if this.free <= 0 or (this.paused and not this.pause_ends) then
    return nil
  end
  if this.tokens and this.tokens + ROUNDING < 1 then
    return this.rate > 0 and math.max(moment, NOW + math.ceil(math.min((1 - this.tokens) / this.rate, CENTURY) * 1e6)) or nil
  end
  return moment
end

-- Pays for jobs that were started.
local function debit(this, started)
  this.free = this.free - started
  if this.tokens and started > 0 then
    this.tokens = this.tokens - started
    call('HSET', P .. 'qs:' .. this.queue, 'tok', string.format('%.17g', this.tokens), 'at', NOW_TEXT)
  end
end

-- Whether a row's tenant has all the slots it may have in the queue; nobody's jobs have no such limit.
local function tenant_full(this, tenant)
  return this.tenant_limit and tenant ~= '' and tenant_running(this.queue, tenant) >= this.tenant_limit
end
