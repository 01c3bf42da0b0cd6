-- Events by what a wait asks for: ec:<channel> broadcasts of a name, key and tenant, em:<run, name> signals that their run has
-- not consumed, both by time; et:<run> every signal to a run. fb publishes whose waiting runs are not all woken yet: the
-- channel and the last wait that was, by event.
local AT_A_TIME = 200

local function channel_of(name, key, tenant)
  return pair(tenant, pair(name, key and '=' .. key or ''))
end

local function mailbox(run_id, name)
  return P .. 'em:' .. pair(run_id, name)
end

local function index_event(id, event)
  call('ZADD', P .. 'ei', 0, id)
  call('ZADD', P .. 'en:' .. event.n, 0, id)
  call('ZADD', P .. 'ea', event.c, id)
  if event.ri then
    call('SADD', P .. 'et:' .. event.ri, id)
    if not event.co then
      call('ZADD', mailbox(event.ri, event.n), event.c, id)
    end
  else
    call('ZADD', P .. 'ec:' .. channel_of(event.n, event.key, tenant_of(event)), event.c, id)
  end
end

local function forget_event(id)
  local event = hash(P .. 'e:' .. id)
  call('ZREM', P .. 'ei', id)
  call('ZREM', P .. 'ea', id)
  call('HDEL', P .. 'fb', id)
  if event then
    call('ZREM', P .. 'en:' .. event.n, id)
    if event.ri then
      call('SREM', P .. 'et:' .. event.ri, id)
      call('ZREM', mailbox(event.ri, event.n), id)
    else
      call('ZREM', P .. 'ec:' .. channel_of(event.n, event.key, tenant_of(event)), id)
    end
  end
  call('UNLINK', P .. 'e:' .. id)
end

local function read_wait(value)
  local deadline, since, document = value:match('^([^|]*)|([^|]*)|(.*)$')
  return tonumber(deadline), tonumber(since), cjson.decode(document)
end
