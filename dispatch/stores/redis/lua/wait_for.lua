-- One visit of each wait: what is recorded under its name, else the oldest event that matches, else its timeout, else it
-- stays open with the deadline of its first visit.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving fences journal
-- ARGV: now, worker, waits: run, driver, epoch, id for the checkpoint of a timeout, name, key ('=' and the text, or ''), since ('' the
-- run's creation), timeout (microseconds, '' none), the wait as JSON, number of events, events.
-- Answers for each 'stale'; 'known', the checkpoint; 'event', its id and hash, deadline; 'timeout', the checkpoint, deadline;
-- or 'open', deadline ('' none).
local worker, at, answers = ARGV[2], 3, {}

local function older(best, score, id)
  return not best or score < best.score or (score == best.score and id < best.id)
end

-- The oldest event that the wait takes and the run has not consumed.
local function oldest(run_id, run, events, key, since)
  local best
  for _, name in ipairs(events) do
    local first = call('ZRANGE', mailbox(run_id, name), 0, 0, 'WITHSCORES')
    if first[1] and older(best, tonumber(first[2]), first[1]) then
      best = {id = first[1], score = tonumber(first[2])}
    end
  end
  for _, name in ipairs(events) do
    local channel, from, found = P .. 'ec:' .. channel_of(name, key, tenant_of(run)), 0, false
    while not found do
      local ids = call('ZRANGEBYSCORE', channel, since, '+inf', 'WITHSCORES', 'LIMIT', from, 50)
      for i = 1, #ids, 2 do
        if call('SISMEMBER', P .. 'fc:' .. run_id, ids[i]) == 0 then
          found = true
          if older(best, tonumber(ids[i + 1]), ids[i]) then
            best = {id = ids[i], score = tonumber(ids[i + 1])}
          end
          break
        end
      end
      if #ids < 100 then
        break
      end
      from = from + 50
    end
  end
  return best and best.id
end

local function wait_one(row, run_id, run, asked)
  local known = known_checkpoint(run_id, asked.name)
  if known then
    return {'known', known}
  end
  local visited = call('HGET', P .. 'fw:' .. run_id, asked.name)
  local deadline = ''
  if visited then
    deadline = visited:match('^([^|]*)|')
  elseif asked.timeout ~= '' then
    deadline = text(NOW + tonumber(asked.timeout))
  end
  local open = deadline .. '|' .. asked.since .. '|' .. asked.document
  if open ~= visited then
    close_wait(run_id, run, asked.name)
    call('HSET', P .. 'fw:' .. run_id, asked.name, open)
    for _, name in ipairs(asked.events) do
      call('ZADD', P .. 'fv:' .. channel_of(name, asked.key, tenant_of(run)), 0, pair(run_id, asked.name))
    end
  end
  local event = oldest(run_id, run, asked.events, asked.key, asked.since ~= '' and asked.since or run.c)
  if event then
    return {'event', event, call('HGETALL', P .. 'e:' .. event), deadline}
  end
  if deadline ~= '' and tonumber(deadline) <= NOW then
    local added = add_checkpoint(row, run_id, run, {
      id = asked.id, name = asked.name, kind = 'wait', data = 'null', attempt = '1', started = '', event = '',
    })
    return {'timeout', added, deadline}
  end
  return {'open', deadline}
end

while at <= #ARGV do
  local run_id, driver, epoch = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local asked = {
    id = ARGV[at + 3], name = ARGV[at + 4], key = ARGV[at + 5] ~= '' and ARGV[at + 5]:sub(2) or nil, since = ARGV[at + 6],
    timeout = ARGV[at + 7], document = ARGV[at + 8], events = {},
  }
  local number = tonumber(ARGV[at + 9])
  for i = 1, number do
    asked.events[i] = ARGV[at + 9 + i]
  end
  at = at + 10 + number
  local row, run = fence(worker, driver, epoch, run_id)
  answers[#answers + 1] = row and wait_one(row, run_id, run, asked) or {'stale'}
end
return answers
