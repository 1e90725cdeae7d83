import os

import pytest

from firstseen.config.secret import Secret, SecretFile, either


def test_secrets_print_as_stars():
    secret = Secret("s3cret")
    assert secret.bytes == b"s3cret"
    assert (str(secret), repr(secret), f"{secret}") == ("********", "Secret(********)", "********")


def test_secrets_compare_by_what_they_are():
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_secret_is_utf8_or_the_bytes_of_its_variable():
    assert Secret("ü").bytes == b"\xc3\xbc"
    assert Secret("\udcff").bytes == b"\xff"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", b"s3cret"),
        (b"s3cret\n", b"s3cret"),
        (b"s3cret\r\n", b"s3cret"),
        (b"s3cret\n\n", b"s3cret\n"),
        (b" \xff\r", b" \xff\r"),
        (b"x" * SecretFile.MAX_BYTES, b"x" * SecretFile.MAX_BYTES),
    ],
)
def test_files(tmp_path, content, secret):
    path = tmp_path / "key"
    path.write_bytes(content)
    file = SecretFile(path)
    assert (file.bytes, file.path, str(file)) == (secret, path, str(path))
    assert repr(file) == f"SecretFile('{path}')"
    assert file == SecretFile(path)
    assert hash(file) == hash(SecretFile(path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "key is empty"),
        (b"\n", "key is empty"),
        (b"a\0", "a NUL cannot be part of a secret"),
        (b"x" * (SecretFile.MAX_BYTES + 1), "key is larger than 65536 bytes, and no secret"),
    ],
)
def test_no_files(tmp_path, content, what):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=what):
        SecretFile(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="none cannot be read: No such file or directory"):
        SecretFile(tmp_path / "none")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        SecretFile(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe cannot be read: it is a named pipe and no file"):
        SecretFile(tmp_path / "pipe")


def test_a_nul_is_told_without_the_rest():
    with pytest.raises(ValueError, match="a NUL cannot be part") as caught:
        Secret("s3cret\0")
    assert "s3cret" not in str(caught.value)


def test_either(tmp_path):
    (tmp_path / "key").write_bytes(b"file")
    assert either(Secret("written"), None) == b"written"
    assert either(None, SecretFile(tmp_path / "key")) == b"file"
    assert either(None, None) is None
