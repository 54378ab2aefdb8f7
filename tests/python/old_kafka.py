"""Makes kafka-python 1.3.5, as released, load in a Python younger than itself. Import it first.

Two of its modules, the producers that it deprecates itself, use `async` as a name, which is a
keyword since Python 3.7: they are left out. Its copy of six does not load since Python 3.12: the
package of that name stands in for it. Other releases of kafka-python are left as they are.
"""

import importlib.metadata
import sys
import types

if importlib.metadata.version("kafka-python") == "1.3.5":
    import six

    for name in ("simple", "keyed"):
        module = types.ModuleType(f"kafka.producer.{name}")
        module.SimpleProducer = module.KeyedProducer = None
        sys.modules[module.__name__] = module
    sys.modules["kafka.vendor.six"] = six
    sys.modules["kafka.vendor.six.moves"] = six.moves


def as_version(version):
    """The argument that makes a client believe that its broker is of this version, or ask."""
    if version == "auto":
        return {}
    return {"api_version": tuple(int(part) for part in version.split("."))}
