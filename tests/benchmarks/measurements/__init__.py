"""Everything that can be measured, in the order in which it is; neighbours share a system where they can."""

from tests.benchmarks.figures import Measurement
from tests.benchmarks.measurements.cost import FLOOD, PACED, POLLED
from tests.benchmarks.measurements.holding import HOLDING
from tests.benchmarks.measurements.latency import LATENCY
from tests.benchmarks.measurements.limits import LIMITS
from tests.benchmarks.measurements.long_thread import LONG_THREAD
from tests.benchmarks.measurements.recovery import RECOVERY
from tests.benchmarks.measurements.sealing import SEALING
from tests.benchmarks.measurements.stages import STAGES_OF_A_RUN
from tests.benchmarks.measurements.trips import TRIPS

MEASUREMENTS: tuple[Measurement, ...] = (
    LATENCY,
    FLOOD,
    PACED,
    POLLED,
    TRIPS,
    STAGES_OF_A_RUN,
    LONG_THREAD,
    HOLDING,
    RECOVERY,
    SEALING,
    LIMITS,
)
