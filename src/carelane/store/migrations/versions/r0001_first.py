"""The first schema: catalogue, logs and lanes, keys, leases, audit, people."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything, in the migration's transaction; a script of many statements needs the driver's own call."""
    script = Path(__file__).with_suffix(".sql").read_text()
    adapter = op.get_bind().connection.dbapi_connection
    if adapter is None:
        raise RuntimeError("this migration needs a live connection")
    adapter.run_async(lambda driver: driver.execute(script))


def downgrade() -> None:
    """Nothing was before the first schema: going back would destroy every message, so it is refused."""
    raise RuntimeError("there is no version before this one; restore a backup instead")
