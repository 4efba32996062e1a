-- The registry of jobs, under a hash tag of its own: what was asked for, the state that leads, and how the page limit
-- is divided among the shards. KEYS[1] is '<prefix>:{jobs}:'.

-- id, spec, created_at, pages, attempts, tenant → 1, or 0 when there is such a job
call('create', {}, function(KEYS, A)
    local base = KEYS[1]
    if redis.call('HEXISTS', base .. 'ids', A[1]) == 1 then
        return 0
    end
    local number = redis.call('HINCRBY', base .. 'meta', 'jobs', 1)
    redis.call('HSET', base .. 'j' .. number, 'id', A[1], 'spec', A[2], 'created', A[3], 'pages', A[4], 'attempts', A[5],
        'tenant', A[6], 'state', 'R', 'version', 1, 'ended', '', 'granted', 0)
    redis.call('HSET', base .. 'ids', A[1], number)
    redis.call('SADD', base .. 'run', number)
    return 1
end)

local function job_of(base, id)
    local number = redis.call('HGET', base .. 'ids', id)
    return number and tostring(number)
end

-- id → number, fields and values, shards and their grants, anchors; false when unknown
call('read', { 'no-writes' }, function(KEYS, A)
    local base = KEYS[1]
    local number = job_of(base, A[1])
    if not number then
        return false
    end
    return { number, redis.call('HGETALL', base .. 'j' .. number), redis.call('HGETALL', base .. 's' .. number),
        redis.call('LRANGE', base .. 'a' .. number, 0, -1) }
end)

-- Notes that a shard is about to get a copy, so that each later change of state reaches it. id, shard
-- → number, tenant, state, version, attempts; false when unknown
call('join', {}, function(KEYS, A)
    local base = KEYS[1]
    local number = job_of(base, A[1])
    if not number then
        return false
    end
    redis.call('HSETNX', base .. 's' .. number, A[2], '0:0')
    local j = redis.call('HMGET', base .. 'j' .. number, 'tenant', 'state', 'version', 'attempts')
    return { number, j[1], j[2], j[3], j[4] }
end)

-- number, state, ended_at or '', version before (or '' for any), how many shards (or '' for any), is a final state left
-- → 1 when it was changed
call('move', { 'allow-oom' }, function(KEYS, A)
    local key = KEYS[1] .. 'j' .. A[1]
    local j = redis.call('HMGET', key, 'state', 'version')
    if (A[4] ~= '' and A[4] ~= j[2]) or (is_final(j[1]) and A[6] ~= '1') then
        return 0
    elseif A[5] ~= '' and redis.call('HLEN', KEYS[1] .. 's' .. A[1]) ~= tonumber(A[5]) then
        return 0
    elseif j[1] == 'C' then
        return 0
    end
    redis.call('HSET', key, 'state', A[2], 'ended', A[3], 'version', int(tonumber(j[2]) + 1))
    redis.call(A[2] == 'R' and 'SADD' or 'SREM', KEYS[1] .. 'run', A[1])
    return 1
end)

-- → for each running job its id, version and number of anchors
call('running', { 'no-writes' }, function(KEYS)
    local jobs = {}
    for _, number in ipairs(redis.call('SMEMBERS', KEYS[1] .. 'run')) do
        local j = redis.call('HMGET', KEYS[1] .. 'j' .. number, 'id', 'version')
        jobs[#jobs + 1] = { j[1], j[2], redis.call('LLEN', KEYS[1] .. 'a' .. number) }
    end
    return jobs
end)

-- A new version of the same state, to undo a change that reached some shards only. number
call('touch', { 'allow-oom' }, function(KEYS, A)
    return redis.call('HINCRBY', KEYS[1] .. 'j' .. A[1], 'version', 2)
end)

-- number, spec, pages, attempts → 1 when it was changed
call('update', {}, function(KEYS, A)
    local key = KEYS[1] .. 'j' .. A[1]
    if is_final(redis.call('HGET', key, 'state')) then
        return 0
    end
    redis.call('HSET', key, 'spec', A[2], 'pages', A[3], 'attempts', A[4])
    redis.call('HINCRBY', key, 'version', 1)
    return 1
end)

-- number, URL
call('anchor', {}, function(KEYS, A)
    local key = KEYS[1] .. 'a' .. A[1]
    if not redis.call('LPOS', key, A[2]) then
        redis.call('RPUSH', key, A[2])
    end
    return 1
end)

-- Divides the page limit. A shard's part only grows here, and gets a number, so that a late one changes nothing.
-- number, shard, pages that the shard must be able to hold → its part, the part's number; 0, 0 when more is given out
-- than the limit allows
call('raise', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    local j = redis.call('HMGET', base .. 'j' .. A[1], 'pages', 'granted')
    local held = redis.call('HGET', base .. 's' .. A[1], A[2]) or '0:0'
    local part, n = string.match(held, '^(%d+):(%d+)$')
    part, n = tonumber(part), tonumber(n)
    local free = num(j[1]) - num(j[2])
    if free < 0 then
        return { '0', '0' }
    end
    local wanted = math.max(0, tonumber(A[3]) - part)
    if wanted > 0 then
        -- Some more than is needed, but never so much that other shards starve.
        wanted = math.min(free, math.max(wanted, math.min(math.floor(free / 16), MAX_SLICE)))
    end
    redis.call('HSET', base .. 'j' .. A[1], 'granted', int(num(j[2]) + wanted))
    redis.call('HSET', base .. 's' .. A[1], A[2], int(part + wanted) .. ':' .. int(n + 1))
    return { int(part + wanted), int(n + 1) }
end)

-- Moves the number of a shard's part above one that the shard has already seen. number, shard, that number → the new one
call('renumber', { 'allow-oom' }, function(KEYS, A)
    local key = KEYS[1] .. 's' .. A[1]
    local part, n = string.match(redis.call('HGET', key, A[2]) or '0:0', '^(%d+):(%d+)$')
    n = int(math.max(tonumber(n), tonumber(A[3])) + 1)
    redis.call('HSET', key, A[2], part .. ':' .. n)
    return n
end)

-- Takes back what a shard gave up. number, shard, number of the part that was lowered, pages in use
-- → 1, or 0 when the part was raised in between
call('lowered', { 'allow-oom' }, function(KEYS, A)
    local base = KEYS[1]
    local part, n = string.match(redis.call('HGET', base .. 's' .. A[1], A[2]) or '0:0', '^(%d+):(%d+)$')
    if n ~= A[3] then
        return 0
    end
    redis.call('HSET', base .. 's' .. A[1], A[2], A[4] .. ':' .. int(tonumber(n) + 1))
    redis.call('HSET', base .. 'j' .. A[1], 'granted', int(num(redis.call('HGET', base .. 'j' .. A[1], 'granted')) + tonumber(A[4]) - tonumber(part)))
    return 1
end)
