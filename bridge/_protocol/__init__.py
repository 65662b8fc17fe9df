"""The rules of both protocols, without input or output: dicts and bytes in, values out."""
