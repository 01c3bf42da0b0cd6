-- Enqueues in two steps: `plan` decides and may refuse, `carry_out` only writes.
-- A job comes as id, queue, name, kind, priority, run_at, tenant, extras, n and the n fields of its row
-- that it brings. run_at is ''
-- (now), "+<microseconds>" or a time; extras are '' or a JSON table: ex expiry, uk uc uu uh unique key, on_conflict,
-- until, hold (durations in microseconds), ik fp it idempotency key, fingerprint, ttl, l a lane that was named, ri sp the run that it is a step of, ck cm concurrency
-- key and maximum (both are among the fields, too).
local function read_job(at)
  local new = {
    id = ARGV[at], q = ARGV[at + 1], n = ARGV[at + 2], k = ARGV[at + 3], o = ARGV[at + 4], tenant = ARGV[at + 6],
    from = at + 9, to = at + 8 + tonumber(ARGV[at + 8]),
  }
  local when = ARGV[at + 5]
  new.r = when == '' and NOW_TEXT or when:sub(1, 1) == '+' and text(NOW + tonumber(when:sub(2))) or when
  new.extras = ARGV[at + 7] ~= '' and cjson.decode(ARGV[at + 7]) or nil
  return new, new.to + 1
end

local by_tenant = {}
-- Whether the jobs of a queue are kept in lanes by tenant.
local function keeps_lanes(queue)
  if by_tenant[queue] == nil then
    local settings = call('HMGET', P .. 'qs:' .. queue, 'fair', 'tc')
    by_tenant[queue] = (settings[1] or settings[2]) and true or false
  end
  return by_tenant[queue]
end

local function insert(new, behind)
  local extras, key = new.extras, job_key(new.id)
  local row = {q = new.q, n = new.n, r = new.r, b = behind}
  local own = {'st', 'P', 'r', new.r, 'c', NOW_TEXT}
  local function add(field, value)
    own[#own + 1] = field
    own[#own + 1] = value
    row[field] = value
  end
  row.k = new.k ~= 'job' and new.k or nil
  row.ck = extras and extras.ck
  row.ri = extras and extras.ri
  row.sp = extras and extras.sp
  row.o = new.o
  local lane = extras and extras.l
  if not lane and new.tenant ~= '' and keeps_lanes(new.q) then
    lane = new.tenant
  end
  if lane and lane ~= '' then
    add('l', lane)
  end
  if behind then
    add('b', behind)
  end
  if extras then
    if extras.ex then
      add('ex', text(NOW + extras.ex))
    end
    if extras.uk then
      add('uk', extras.uk)
      add('uu', extras.uu)
      if extras.uh then
        add('uh', text(NOW + extras.uh))
      end
    end
  end
  call('HSET', key, unpack(own))
  call('HSET', key, unpack(ARGV, new.from, new.to))
  if new.tenant ~= '' then
    for at = new.from, new.to, 2 do
      if ARGV[at] == 'ap' or ARGV[at] == 'og' then
        row[ARGV[at]] = ARGV[at + 1]
      end
    end
  end
  move(new.id, row, 'P')
  join_key(new.id, row)
  join_parent(new.id, row)
  if row.ck then
    call('HSET', P .. 'km', row.ck, extras.cm)
    note_key(row)
  end
  if row.ck and not behind and tonumber(row.r) <= NOW then
    block(new.id, row)
  else
    place_row(new.id, row)
  end
  tell_job('job.enqueued', new.id, row)
  return row
end

local REPLACED = {p = true, m = true, t = true, d = true, ck = true, cm = true}
-- Puts what on_conflict="replace" renews into a waiting row.
local function replace(id, new)
  local row, key = job(id), job_key(id)
  if not row.b then
    lift(id, row)
  end
  part_key(id, row)
  call('HDEL', key, 'm', 't', 'd', 'ex', 'ck', 'cm')
  local fields = {'r', new.r, 'o', new.o, 'u', NOW_TEXT}
  if new.extras.ex then
    fields[#fields + 1] = 'ex'
    fields[#fields + 1] = text(NOW + new.extras.ex)
  end
  for at = new.from, new.to, 2 do
    if REPLACED[ARGV[at]] then
      fields[#fields + 1] = ARGV[at]
      fields[#fields + 1] = ARGV[at + 1]
    end
  end
  call('HSET', key, unpack(fields))
  row.r, row.o, row.ck, row.cm = new.r, new.o, new.extras.ck, new.extras.cm
  join_key(id, row)
  if row.ck then
    call('HSET', P .. 'km', row.ck, row.cm)
    note_key(row)
  end
  if row.ck and not row.b and not row.as and tonumber(row.r) <= NOW then
    block(id, row)
  else
    place_row(id, row)
  end
end

local function new_plan()
  return {answers = {}, steps = {}, made = {}, holders = {}, successors = {}, remembered = {}, expired = {}}
end

-- Idempotency keys: i is a hash of "<expiry>:<fingerprint>:<job>" by "<tenant, key>"; ix those by expiry, io the keys in
-- the order of tenant and key.
local function keep_idempotent(tenant, key, expires, fingerprint, id)
  local field = pair(tenant, key)
  call('HSET', P .. 'i', field, text(expires) .. ':' .. fingerprint .. ':' .. id)
  call('ZADD', P .. 'ix', expires, field)
  call('ZADD', P .. 'io', 0, tenant .. '\0' .. key)
end

local function idempotent(this, field)
  if this.remembered[field] then
    return this.remembered[field]
  end
  local value = call('HGET', P .. 'i', field)
  if not value then
    return nil
  end
  local expires, fingerprint, id = value:match('^(%d+):(.*):([^:]*)$')
  if tonumber(expires) <= NOW then
    return nil
  end
  return {fingerprint = fingerprint, id = id}
end

-- What the unique key makes of a job: answers the job's id, a mark (1 new, 0 held, R replaced), or nil and who holds it.
local function resolve(this, new)
  local extras = new.extras
  local key = extras and extras.uk
  if not key then
    this.steps[#this.steps + 1] = {new = new}
    return new.id, '1'
  end
  local held_by, state = this.holders[key], nil
  if held_by then
    state = 'P'
  else
    local overdue
    overdue, held_by = overdue_holders(key)
    for _, id in ipairs(overdue) do
      this.steps[#this.steps + 1] = {ends = id, by = #this.answers + 1}
    end
    if #overdue > 0 then
      this.holders[key] = held_by
    end
    state = held_by and call('HGET', job_key(held_by), 'st')
  end
  if not held_by then
    this.holders[key] = new.id
    this.steps[#this.steps + 1] = {new = new, takes = key}
    return new.id, '1'
  end
  if extras.uc == 'raise' then
    return nil, held_by
  end
  if extras.uc ~= 'replace' or not state then
    return held_by, '0'
  end
  local successor = this.successors[held_by]
  if not successor and not this.made[held_by] then
    local waiting = call('HGET', job_key(held_by), 'su')
    successor = waiting and cjson.decode(waiting)[1]
  end
  local front = successor or held_by
  local driver = not this.made[front] and call('HMGET', job_key(front), 'k', 'ri') or {}
  if new.k == 'workflow' or driver[1] == 'workflow' then
    -- a run is never put into another's place: it lines up, unless one that has not begun stands for it
    local run = driver[1] == 'workflow' and driver[2] and call('HGET', run_key(driver[2]), 'st')
    if successor or run == 'P' or (state ~= 'P' and state ~= 'T' and state ~= 'R') then
      return held_by, '0'
    end
    this.successors[held_by] = new.id
    this.steps[#this.steps + 1] = {new = new, behind = held_by}
    return new.id, '1'
  end
  local target = successor or ((state == 'P' or state == 'T') and held_by)
  if target then
    this.steps[#this.steps + 1] = {new = new, into = target}
    return target, 'R'
  end
  if state ~= 'R' then
    return held_by, '0'
  end
  this.successors[held_by] = new.id
  this.steps[#this.steps + 1] = {new = new, behind = held_by}
  return new.id, '1'
end

-- Decides about one job. Answers nil, or why nothing of the call may be written: what it is, its key, who has it.
local function plan(this, new)
  if this.made[new.id] or call('EXISTS', job_key(new.id)) == 1 then
    this.answers[#this.answers + 1] = '0' .. new.id
    return nil
  end
  local extras = new.extras
  local field = extras and extras.ik and pair(new.tenant, extras.ik)
  if field then
    local known = idempotent(this, field)
    if known then
      if known.fingerprint ~= extras.fp then
        return {'mismatch', extras.ik, known.id, new.n}
      end
      this.answers[#this.answers + 1] = '0' .. known.id
      return nil
    end
  end
  local id, mark = resolve(this, new)
  if not id then
    return {'duplicate', extras.uk, mark, new.n}
  end
  if mark == '1' then
    this.made[new.id] = true
  end
  this.answers[#this.answers + 1] = mark .. id
  if field then
    this.remembered[field] = {fingerprint = extras.fp, id = id}
    this.steps[#this.steps + 1] = {
      remembers = extras.ik, tenant = new.tenant, fingerprint = extras.fp, id = id, expires = NOW + extras.it,
    }
  end
  return nil
end

local function carry_out(this)
  for _, step in ipairs(this.steps) do
    local new = step.new
    if step.remembers then
      keep_idempotent(step.tenant, step.remembers, step.expires, step.fingerprint, step.id)
    elseif step.ends then
      if expire(step.ends) then
        this.expired[#this.expired + 1] = step
      end
    elseif step.into then
      replace(step.into, new)
    else
      local row = insert(new, step.behind)
      if step.takes then
        take_key(step.takes, new.id, row.uh)
      elseif step.behind then
        local before = call('HGET', job_key(step.behind), 'su')
        local ids = before and cjson.decode(before) or {}
        ids[#ids + 1] = new.id
        call('HSET', job_key(step.behind), 'su', cjson.encode(ids))
      end
    end
  end
end

local function sweep_idempotency(limit)
  for _, field in ipairs(call('ZRANGEBYSCORE', P .. 'ix', '-inf', NOW, 'LIMIT', 0, limit)) do
    local length, both = field:match('^(%d+):(.*)$')
    call('HDEL', P .. 'i', field)
    call('ZREM', P .. 'ix', field)
    call('ZREM', P .. 'io', both:sub(1, tonumber(length)) .. '\0' .. both:sub(tonumber(length) + 1))
  end
end
