-- The URLs that a job ever saw in this shard: hashes of page key to a small number, about SEEN_LOAD entries each, so
-- that Redis keeps them as listpacks. Their number follows from the count of URLs (linear hashing): it grows by one
-- hash at a time, and one hash is split for it.
-- The number is -(host + 1) while the URL is open, FAILED_MARK when it is a dead letter, else fate × 10 + attempts.

local SEEN_LOAD = 100
local FAILED_MARK = 127

local function n_buckets(n_urls)
    return math.max(1, math.ceil(n_urls / SEEN_LOAD))
end

local function hash_of(key)
    local a, b, c, d = string.byte(key, 1, 4)
    return a + b * 256 + c * 65536 + d * 16777216
end

local function bucket_of(hash, n)
    local size = 1
    while size < n do
        size = size * 2
    end
    local bucket = hash % size
    if bucket >= n then
        bucket = hash % (size / 2)
    end
    return bucket
end

local function seen_key(base, job, n, key)
    return base .. 's' .. job .. ':' .. int(bucket_of(hash_of(key), n))
end

-- Makes bucket number `n` (from 0): takes its entries out of the one they are in.
local function split(base, job, n)
    local size = 1
    while size * 2 <= n do
        size = size * 2
    end
    local old = base .. 's' .. job .. ':' .. int(n - size)
    local entries = redis.call('HGETALL', old)
    local moved, gone = {}, {}
    for at = 1, #entries, 2 do
        if hash_of(entries[at]) % (size * 2) == n then
            moved[#moved + 1] = entries[at]
            moved[#moved + 1] = entries[at + 1]
            gone[#gone + 1] = entries[at]
        end
    end
    if #gone > 0 then
        redis.call('HSET', base .. 's' .. job .. ':' .. int(n), unpack(moved))
        redis.call('HDEL', old, unpack(gone))
    end
end

local function mark(base, job, j, key, value)
    redis.call('HSET', seen_key(base, job, n_buckets(j.d), key), key, value)
end

-- Keeps an ended URL. `fate` 0 stored, 1 unchanged, 2 to 99 skipped, from 100 failed; `retry_at` is 0 or a time + 1.
-- Dead letters keep their record, since they may be tried again; of the others the text is kept as the job says:
-- all, or a sample of what no page store knows.
local function keep_ended(base, job, j, host, record, fate, retry_at)
    local key = string.sub(record, 1, 16)
    local kept = struct.pack('>BI6I4', fate, retry_at, host) .. record
    if fate >= 100 then
        mark(base, job, j, key, FAILED_MARK)
        redis.call('RPUSH', base .. 'f' .. job, kept)
        j.f = j.f + 1
    else
        mark(base, job, j, key, fate * 10 + math.min(string.byte(record, 28), 9))
        if j.texts == 'all' or (fate > 1 and redis.call('LLEN', base .. 't' .. job) < MAX_SKIPPED_TEXTS) then
            redis.call('RPUSH', base .. 't' .. job, kept)
        end
        if fate == 0 then
            j.s = j.s + 1
        elseif fate == 1 then
            j.u = j.u + 1
        else
            j.k = j.k + 1
        end
    end
    if fate > 1 then
        redis.call('HINCRBY', j.key, 'r:' .. fate, 1)
    end
end

-- Puts a record that was leased, or failed, back to its host's queue.
local function put_back(base, job, host, share, record, not_before, attempts, now)
    local row = read_record(record)
    local changed = with_state(record, not_before, attempts)
    if not_before > now then
        redis.call('ZADD', base .. 'w' .. host .. ':' .. job, int(not_before), struct.pack('>I5', row.age) .. changed)
        share.w = share.w + 1
    else
        redis.call('ZADD', base .. 'r' .. host .. ':' .. job, int(row.rank), changed)
        share.r = share.r + 1
    end
    share.q = share.q + 1
end
