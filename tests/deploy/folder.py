"""Where the files of ``deploy/`` are, and what all of them must agree on."""

from pathlib import Path

from carelane.ops.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {f"CARELANE_{name.upper()}" for name in Settings.model_fields} | {"CARELANE_WORKERS"}
"""What a hub reads from its environment; the workers are an option of ``serve``."""
GRACE_S = float(Settings.model_fields["grace_s"].default)
"""How long a hub may take to drain; who supervises it must wait longer."""
