"""Old days are dropped whole; what a legal hold needs is kept apart."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; a script of many statements needs the driver's own call."""
    script = Path(__file__).with_suffix(".sql").read_text()
    adapter = op.get_bind().connection.dbapi_connection
    if adapter is None:
        raise RuntimeError("this migration needs a live connection")
    adapter.run_async(lambda driver: driver.execute(script))


def downgrade() -> None:
    """Going back would lose what a legal hold keeps, so it is refused."""
    raise RuntimeError("going back would lose what legal holds keep; restore a backup instead")
