"""One owner for a lane on any number of nodes; arrivals and settlements on rows of their own; bodies on partitions of their own."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Split the tables; a script of many statements needs the driver's own call."""
    script = Path(__file__).with_suffix(".sql").read_text()
    adapter = op.get_bind().connection.dbapi_connection
    if adapter is None:
        raise RuntimeError("this migration needs a live connection")
    adapter.run_async(lambda driver: driver.execute(script))


def downgrade() -> None:
    """Going back would lose bodies and cursors, so it is refused."""
    raise RuntimeError("going back would lose message bodies; restore a backup instead")
