"""Sends the flights table, each row keyed by its carrier, and notes what was sent.

Arguments: server, topic, the zipped table, the file for the notes. A row's value is its number
among the rows of its carrier, a comma, and the row. A note is partition, offset, key, number and
checksum of the value, parted by tabs.
"""

import collections
import io
import sys
import zipfile
import zlib

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from events import emit

server, topic, table, notes = sys.argv[1:]
admin = KafkaAdminClient(bootstrap_servers=server)
admin.create_topics([NewTopic(topic, num_partitions=6, replication_factor=1)])
admin.close()
emit("created")
sys.stdin.readline()  # The test says when the group is there.

producer = KafkaProducer(bootstrap_servers=server, acks='all', linger_ms=20,
                         batch_size=256 * 1024, compression_type='lz4', max_in_flight_requests_per_connection=5)
archive = zipfile.ZipFile(table)
rows = io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding='utf-8')
carrier = next(rows).strip().replace('"', '').split(',').index('carrier')
numbers = collections.Counter()
waiting = collections.deque()
ends = collections.Counter()


def note(out, key, number, checksum, future):
    done = future.get(timeout=60)
    ends[done.partition] = max(ends[done.partition], done.offset + 1)
    out.write(f"{done.partition}\t{done.offset}\t{key}\t{number}\t{checksum}\n")


with open(notes, 'w') as out:
    for row in rows:
        row = row.strip()
        key = row.split(',')[carrier].strip('"')
        value = f"{numbers[key]},{row}".encode()
        future = producer.send(topic, key=key.encode(), value=value)
        waiting.append((key, numbers[key], zlib.crc32(value), future))
        numbers[key] += 1
        if len(waiting) > 20000:
            note(out, *waiting.popleft())
    producer.flush()
    for item in waiting:
        note(out, *item)
emit("done", rows=sum(numbers.values()), keys=len(numbers), ends=ends)
