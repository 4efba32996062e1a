-- Hosts: numbers, gates, blocks, robots.txt.

local HOST_FIELDS = { 'gate', 'block', 'delay', 'gen', 'turns', 'out' }

local function intern(base, name, m)
    local number = redis.call('HGET', base .. 'hn', name)
    if number then
        return number
    end
    number = redis.call('HINCRBY', base .. 'm', 'hosts', 1)
    redis.call('HSET', base .. 'hn', name, number)
    redis.call('HSET', base .. 'h' .. number, 'name', name, 'gen', m.gen)
    return tostring(number)
end

-- A host's row. In a later generation than its own the gate is at least one delay after that began: the former
-- owner may have begun a request that nobody here remembers. `out` holds its leases as 'deadline:epoch:seq,…'.
local function read_host(base, number, m)
    local h = redis.call('HMGET', base .. 'h' .. number, 'gate', 'block', 'delay', 'gen', 'turns', 'out', 'name')
    local host = {
        key = base .. 'h' .. number, gate = num(h[1]), block = num(h[2]), delay = num(h[3]), turns = num(h[5]),
        out = h[6] or '', name = h[7], read = h,
    }
    if h[4] ~= m.gen then
        host.gate = math.max(host.gate, m.since + host.delay)
    end
    return host
end

-- Writes what changed.
local function write_host(host, m)
    local changed, read = {}, host.read
    for at, value in ipairs({ int(host.gate), int(host.block), int(host.delay), m.gen, int(host.turns), host.out }) do
        if value ~= read[at] then
            changed[#changed + 1] = HOST_FIELDS[at]
            changed[#changed + 1] = value
        end
    end
    if #changed > 0 then
        redis.call('HSET', host.key, unpack(changed))
    end
end

-- When the next request may start. After a loss of history also hosts wait whose last start was lost.
local function not_before(host, m, window, delay)
    if IS_GATE_BROKEN then
        return host.block
    end
    local at = math.max(host.gate, host.block)
    if m.lossy > 0 and delay > 0 then
        at = math.max(at, m.lossy + window + delay)
    end
    return at
end

-- Without a delay no spacing is promised, so the window must not become one.
local function start(host, window, delay, now)
    local latest = now
    if delay > 0 then
        latest = now + window
    end
    host.gate = math.max(host.gate, math.min(latest + delay, MAX_TIME))
    host.delay = delay
end

-- claim, now, host, window, delay → 0, or the time to wait for
call('start', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local now, window, delay = tonumber(A[4]), tonumber(A[6]), tonumber(A[7])
    local host = read_host(base, intern(base, A[5], m), m)
    local at = not_before(host, m, window, delay)
    if at > now then
        return int(at)
    end
    start(host, window, delay, now)
    write_host(host, m)
    return '0'
end)

-- claim, host, field (gate or block), until
call('hold', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local host = read_host(base, intern(base, A[4], m), m)
    host[A[5]] = math.max(host[A[5]], tonumber(A[6]))
    write_host(host, m)
    return 1
end)

-- claim, origin, record
call('put_robots', {}, function(KEYS, A)
    if not claimed(KEYS[1], A) then
        return redis.error_reply(FENCED)
    end
    return redis.call('HSET', KEYS[1] .. 'robots', A[4], A[5])
end)
