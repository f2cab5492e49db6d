import os

from carelane.kit.entropy import random_bytes


def test_no_bytes_are_given_twice():
    found = [random_bytes(12) for _ in range(5000)]
    assert 5000 == len(set(found))


def test_more_than_a_block_is_given_whole():
    assert 10_000 == len(random_bytes(10_000))


def test_a_forked_child_gets_bytes_of_its_own():
    random_bytes(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, random_bytes(16))
        os._exit(0)
    mine = random_bytes(16)
    os.waitpid(child, 0)
    assert mine != os.read(reader, 16)
    os.close(reader)
    os.close(writer)
