"""Every test runs offline and with one torch thread: with more, a tiny model is slower and not reproducible."""

import os

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")
