from records.decode import RecordError, decode, decode_all
from records.encode import encode, encode_all

__all__ = ["RecordError", "decode", "decode_all", "encode", "encode_all"]
