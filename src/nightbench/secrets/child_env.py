"""What of our environment a process that we start gets: what it needs, by name, and no more.

Not the keys of targets, nor the database's password, nor where alerts go: an engine runs what a
model's repository brings, a scorer reads what a model wrote. A variable with a secret's name is
handed on to nobody but who is listed here to need it.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping

from nightbench.errors import BadInput
from nightbench.secrets.values import REDACTED, is_secret, without_userinfo

# Who and where we are, in which language; and how the dynamic linker finds libraries.
_SYSTEM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "HOSTNAME", "TZ", "TMPDIR", "TMP"),
    *("TEMP", "LANG", "LANGUAGE", "LC_*", "XDG_*", "LD_*", "GLIBC_*", "MALLOC_*", "CONDA_PREFIX"),
)
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ftp_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_PAST_PROXIES = ("no_proxy", "NO_PROXY")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_PYTHON = ("PYTHON*", "VIRTUAL_ENV")
# Compiling happens while an engine starts (kernels) and while one is installed.
_COMPILERS = (
    *("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH"),
    *("*_INCLUDE_PATH", "PKG_CONFIG_PATH", "CMAKE_*", "NINJA_*", "MAX_JOBS", "MAKEFLAGS"),
    *("CUDA*", "NVCC_*", "CARGO_*", "RUSTUP_*"),
)
_ACCELERATORS = (
    *("CUDA*", "CUDNN*", "CUBLAS*", "NVIDIA*", "NVCC_*", "NVTE_*", "NV_*", "NCCL*", "NVSHMEM_*"),
    *("HIP*", "ROCM*", "ROCR*", "HSA_*", "RCCL*", "MIOPEN_*", "GPU_*", "AMD_*", "PYTORCH*"),
    *("ONEAPI_*", "SYCL_*", "ZE_*", "CCL_*", "ASCEND*", "HCCL_*", "NEURON_*", "XLA_*", "PJRT_*"),
    *("OMP_*", "KMP_*", "MKL_*", "GOMP_*", "OPENBLAS_*", "NUMEXPR_*", "NUMBA_*", "VECLIB_*"),
)
_FRAMEWORKS = (
    *("TORCH*", "TRITON*", "FLASHINFER*", "FLASH_ATTN*", "XFORMERS_*", "CUTLASS*", "DG_*"),
    *("HF_*", "HUGGINGFACE_*", "TRANSFORMERS_*", "TOKENIZERS_*", "SAFETENSORS_*", "TIKTOKEN_*"),
    *("MODELSCOPE_*", "LMCACHE_*", "DO_NOT_TRACK"),
)
_ENGINES = (
    *("VLLM*", "SGLANG*", "SGL_*", "LMDEPLOY*", "TM_*", "OLLAMA*", "GGML_*", "LLAMA_*"),
    *("RAY_*", "GLOO*", "UCX*", "FI_*", "MPI_*", "OMPI_*", "PMIX_*", "MLX5_*", "IBV_*"),
)
_CONTAINERS = ("DOCKER_*", "CONTAINER_HOST", "BUILDKIT_*")

FOR_PYTHON = (*_SYSTEM, *_PYTHON, *_NETWORK, "OMP_*", "OPENBLAS_*", "MKL_*")
FOR_ENGINES = (
    *(*_SYSTEM, *_NETWORK, *_COMPILERS, *_ACCELERATORS, *_FRAMEWORKS, *_ENGINES, *_CONTAINERS),
)
# pip's indexes, with their passwords where they have some, are what it installs from.
FOR_PIP = (*FOR_ENGINES, "PIP_*", "NETRC", "GIT_*", "SSH_AUTH_SOCK", "SETUPTOOLS_*")
FOR_DOCKER = (*_SYSTEM, *_NETWORK, *_CONTAINERS, "DOCKER_AUTH_CONFIG")
FOR_GIT = _SYSTEM
# A night's own commands, which drain nodes and tell clusters.
FOR_COMMANDS = (*_SYSTEM, *_NETWORK, *_CONTAINERS, "KUBECONFIG", "SLURM_*", "SLURM_JWT")
# A local board asks no cloud. (Which proxies a server believes is uvicorn's own variable.)
_WEB = (*FOR_PYTHON, "FORWARDED_ALLOW_IPS")
FOR_BOARD = (*_WEB, "SWANLAB_*")
FOR_SWANLAB = (*FOR_PYTHON, "SWANLAB_*", "SWANLAB_API_KEY")
# The server and whatever its database's driver reads. PREFECT_API_KEY is for Prefect's cloud.
FOR_PREFECT = (
    *(*_WEB, "PREFECT_*", "PG*", "KRB5*", "DO_NOT_TRACK", "NIGHTBENCH_HOME"),
    *("PGPASSWORD", "PGSSLKEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"),
    *("PREFECT_SERVER_ENCRYPTION_KEY", "PREFECT_SERVER_DATABASE_PASSWORD"),
    *("PREFECT_API_DATABASE_PASSWORD", "PREFECT_REDIS_MESSAGING_PASSWORD"),
)
# What registers deployments: it reads suites and signs in.
FOR_PREFECT_CLIENTS = (
    *(*FOR_PYTHON, "PREFECT_*", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "DO_NOT_TRACK"),
    *("NIGHTBENCH_HOME", "NIGHTBENCH_SUITES"),
)
# Of a Prefect server alone: whoever has these needs to ask it nothing.
SERVERS_ALONE = (
    *("PGPASSWORD", "PREFECT_SERVER_DATABASE_*", "PREFECT_API_DATABASE_*"),
    *("PREFECT_SERVER_ENCRYPTION_KEY", "PREFECT_REDIS_MESSAGING_*"),
    "PREFECT_SERVER_API_AUTH_STRING",
)

# Of an engine's environment, what can change a measurement and is therefore kept with it.
_RELEVANT = re.compile(
    r"^(VLLM|CUDA|NVIDIA|NCCL|TORCH|PYTORCH|TRITON|OMP|KMP|MKL|GOMP|HF|TRANSFORMERS|TOKENIZERS"
    r"|GLOO|UCX|LD_LIBRARY_PATH|LD_PRELOAD|MALLOC|OPENBLAS|RAY)"
)


def environment_for(
    allowed: Iterable[str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of `environ` whose names are in `allowed` (`NAME`, `PREFIX*`, `*SUFFIX`).

    One with a secret's name is among them only where `allowed` has the whole of it.
    """
    names = tuple(allowed)
    matches = _matching(names)
    return {
        name: value
        for name, value in environ.items()
        if name in names or (matches(name) and not is_secret(name))
    }


def without_variables(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ`, but those whose names are in `names`, secrets or not."""
    matches = _matching(names)
    return {name: value for name, value in environ.items() if not matches(name)}


def past_proxies(environ: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """NO_PROXY as it is to be where there are proxies: what is said to a server of this machine,
    passwords included, is for none of them. `hosts` are further names of it."""
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return {}
    given = ",".join(filter(None, map(environ.get, _PAST_PROXIES))).split(",")
    names = dict.fromkeys(filter(None, (*map(str.strip, given), *_THIS_MACHINE, *hosts)))
    return {} if "*" in names else dict.fromkeys(_PAST_PROXIES, ",".join(names))


def _matching(names: Iterable[str]) -> Callable[[str], object]:
    return re.compile("|".join(map(fnmatch.translate, names))).match


def engine_environment(environ: Mapping[str, str], pass_env: Iterable[str] = ()) -> dict[str, str]:
    """What an engine gets of our environment; `pass_env` are further names that its suite gives.

    Raises BadInput where one of those is not set.
    """
    wanted = tuple(pass_env)
    missing = [name for name in wanted if name not in environ]
    if missing:
        raise BadInput(
            f"engine.pass_env: {', '.join(missing)} is not set",
            hint="Set it where nightbench (or its worker) starts, or remove it from the list.",
        )
    return environment_for((*FOR_ENGINES, *wanted), environ)


def left_out(environ: Mapping[str, str], pass_env: Iterable[str] = ()) -> list[str]:
    """The names of what an engine does not get."""
    wanted = [name for name in pass_env if name in environ]
    return sorted(environ.keys() - engine_environment(environ, wanted).keys())


def public_env(
    env: Mapping[str, str], chosen: Iterable[str], private: Iterable[str] = ()
) -> dict[str, str]:
    """What of an engine's environment is stored: what was `chosen` for it and what can matter to a
    measurement. Secrets, `private` ones and passwords in addresses are hidden."""
    names, hidden = set(chosen), set(private)
    kept = {k: v for k, v in sorted(env.items()) if k in names | hidden or _RELEVANT.match(k)}
    return {
        name: REDACTED if name in hidden or is_secret(name) else without_userinfo(value)
        for name, value in kept.items()
    }
