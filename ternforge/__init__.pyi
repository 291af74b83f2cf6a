# The public functions and where they are: read by type checkers, and by __init__.py when one of them is asked for.
from ternforge.inputs import read_design as read_design
from ternforge.inputs import read_technology as read_technology
from ternforge.inputs import read_workload as read_workload
from ternforge.verbs.apply import apply as apply
from ternforge.verbs.check import check as check
from ternforge.verbs.compare import compare as compare
from ternforge.verbs.compile import compile as compile
from ternforge.verbs.doctor import doctor as doctor
from ternforge.verbs.estimate import estimate as estimate
from ternforge.verbs.explore import explore as explore
from ternforge.verbs.export import export as export
from ternforge.verbs.generate import generate as generate
from ternforge.verbs.init import init as init
from ternforge.verbs.merge import merge as merge
from ternforge.verbs.model import model as model
from ternforge.verbs.model import model_export as model_export
from ternforge.verbs.model import model_generate as model_generate
from ternforge.verbs.model import model_import as model_import
from ternforge.verbs.model import models as models
from ternforge.verbs.plot import plot as plot
from ternforge.verbs.promote import promote as promote
from ternforge.verbs.report import report as report
from ternforge.verbs.simulate import simulate as simulate
from ternforge.verbs.synth import synth as synth
from ternforge.verbs.tech import technologies as technologies
from ternforge.verbs.tech import technology as technology
from ternforge.verbs.tech import technology_calibrate as technology_calibrate
from ternforge.verbs.tech import technology_import as technology_import
from ternforge.verbs.tech import technology_validate as technology_validate
from ternforge.verbs.verify import verify as verify

__version__: str
