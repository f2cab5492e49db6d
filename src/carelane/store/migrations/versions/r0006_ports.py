"""Listen ports belong to sources: the ones in use today are entered."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and enter what listens; a script of many statements needs the driver's own call."""
    script = Path(__file__).with_suffix(".sql").read_text()
    adapter = op.get_bind().connection.dbapi_connection
    if adapter is None:
        raise RuntimeError("this migration needs a live connection")
    adapter.run_async(lambda driver: driver.execute(script))


def downgrade() -> None:
    """Going back would let a stranger take a hospital's port, so it is refused."""
    raise RuntimeError("going back would lose whose a port is; restore a backup instead")
