"""Personal keys, answers to creates that may be sent again, versions of organizations and memberships."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns; a script of many statements needs the driver's own call."""
    script = Path(__file__).with_suffix(".sql").read_text()
    adapter = op.get_bind().connection.dbapi_connection
    if adapter is None:
        raise RuntimeError("this migration needs a live connection")
    adapter.run_async(lambda driver: driver.execute(script))


def downgrade() -> None:
    """Going back would lose people's keys, so it is refused."""
    raise RuntimeError("going back would lose people's keys; restore a backup instead")
