"""A simulated hospital: a steady stream of synthetic HL7 v2 ADT and ORU about patients nobody has."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_FAMILY = ("Alder", "Birch", "Castell", "Dorn", "Ekberg", "Farrow", "Grieve", "Holm", "Ikeda", "Juhl", "Kovač", "Lindqvist", "Moreau", "Nuñez", "Okafor")
_GIVEN = ("Ada", "Bela", "Cleo", "Dario", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Liam", "Mina", "Noor", "Otis")
_STREETS = ("Mill Lane", "Harbour Road", "Elm Street", "Station Road", "Quarry Hill")
_TESTS = (
    ("718-7", "Hemoglobin", "g/dL", 13.8, 1.4, "12.0-16.0"),
    ("2345-7", "Glucose", "mg/dL", 96.0, 14.0, "70-110"),
    ("2951-2", "Sodium", "mmol/L", 140.0, 3.0, "135-145"),
    ("2823-3", "Potassium", "mmol/L", 4.2, 0.5, "3.5-5.1"),
    ("6690-2", "Leukocytes", "10*3/uL", 7.4, 2.2, "4.0-11.0"),
)
_WARDS = ("3N", "4W", "ICU", "ED")


@dataclass
class _Patient:
    number: str
    family: str
    given: str
    born: str
    sex: str
    street: str
    visit: str = ""
    ward: str = "ED"
    room: int = 1


@dataclass
class Hospital:
    """Makes messages one after another; the same seed gives the same stories."""

    seed: int = 0
    facility: str = "LAKESIDE"
    test: bool = True
    _random: random.Random = field(init=False, repr=False)
    _patients: list[_Patient] = field(default_factory=list)
    _control: int = 0

    def __post_init__(self) -> None:
        """Seed the stories; simulated data needs no secure randomness."""
        self._random = random.Random(self.seed)  # noqa: S311

    def messages(self, now: datetime) -> Iterator[bytes]:
        """Yield the messages of one patient's next steps."""
        draw = self._random.random()
        if not self._patients or draw < 0.3:
            yield self._admit(now)
        elif draw < 0.8:
            yield self._results(self._random.choice(self._patients), now)
        elif draw < 0.92:
            yield self._move(self._random.choice(self._patients), now)
        else:
            yield self._discharge(now)

    def _admit(self, now: datetime) -> bytes:
        pick = self._random
        patient = _Patient(
            f"{pick.randrange(10**7):08d}",
            pick.choice(_FAMILY),
            pick.choice(_GIVEN),
            f"{pick.randrange(1931, 2019)}{pick.randrange(1, 13):02d}{pick.randrange(1, 28):02d}",
            pick.choice("FM"),
            f"{pick.randrange(1, 240)} {pick.choice(_STREETS)}",
            f"V{pick.randrange(10**8):08d}",
            pick.choice(_WARDS),
            pick.randrange(1, 40),
        )
        self._patients = [*self._patients[-60:], patient]
        return self._adt(
            "A01",
            patient,
            now,
            [
                f"AL1|1|DA^Drug allergy^HL70127|{pick.choice(('7980^Penicillin', '2670^Codeine'))}^RXNORM|MO^Moderate^HL70128|Rash",
                "DG1|1||R07.9^Chest pain, unspecified^I10|||A",
                "IN1|1|PPO1^Preferred plan|4471^^^^PAYERID|Northern Mutual|9 Insurance Way^^Lakeside^WI^53590|||GRP-88|Lakeside Mills|||20260101|20261231",
            ],
        )

    def _move(self, patient: _Patient, now: datetime) -> bytes:
        old = f"{patient.ward}^{patient.room:02d}^A^{self.facility}"
        patient.ward, patient.room = self._random.choice(_WARDS), self._random.randrange(1, 40)
        return self._adt("A02", patient, now, [], previous=old)

    def _discharge(self, now: datetime) -> bytes:
        patient = self._patients.pop(self._random.randrange(len(self._patients)))
        return self._adt("A03", patient, now, [], discharged=True)

    def _adt(self, trigger: str, patient: _Patient, now: datetime, more: list[str], previous: str = "", *, discharged: bool = False) -> bytes:
        when = now.strftime("%Y%m%d%H%M%S+0000")
        left = "|".join(["01^Home^HL70112" if discharged else "", *[""] * 7, when, when if discharged else ""])
        place = f"{patient.ward}^{patient.room:02d}^A^{self.facility}"
        lines = [
            self._msh("ADT", trigger, f"ADT_{trigger}" if trigger in ("A02", "A03") else "ADT_A01", when),
            f"EVN|{trigger}|{when}",
            self._pid(patient),
            f"NK1|1|{patient.family}^Robin|SPO^Spouse^HL70063||(608)555-0{self._random.randrange(100, 200)}^PRN^PH",
            f"PV1|1|I|{place}|E|||1902^Berg^Ingrid^^^^MD^^NPI|||MED|||||||||{patient.visit}^^^{self.facility}^VN" + "|" * 17 + left,
        ]
        if previous:
            fields = lines[-1].split("|")
            fields[6] = previous
            lines[-1] = "|".join(fields)
        return ("\r".join([*lines, *more]) + "\r").encode()

    def _results(self, patient: _Patient, now: datetime) -> bytes:
        when = now.strftime("%Y%m%d%H%M%S+0000")
        drawn = (now - timedelta(minutes=40)).strftime("%Y%m%d%H%M%S+0000")
        order = self._random.randrange(10**6)
        lines = [
            self._msh("ORU", "R01", "ORU_R01", when),
            self._pid(patient),
            f"PV1|1|I|{patient.ward}^{patient.room:02d}^A^{self.facility}",
            f"ORC|RE|P{order:06d}|F{order:06d}||CM||||{when}|||1902^Berg^Ingrid^^^^MD^^NPI",
            f"OBR|1|P{order:06d}|F{order:06d}|24323-8^Comprehensive panel^LN|||{drawn}" + "|" * 9 + f"1902^Berg^Ingrid^^^^MD^^NPI||||||{when}||LAB|F",
        ]
        chosen = self._random.sample(_TESTS, self._random.randrange(2, len(_TESTS) + 1))
        for number, (code, name, units, middle, spread, normal) in enumerate(chosen, start=1):
            value = self._random.gauss(middle, spread)
            low, high = (float(end) for end in normal.split("-"))
            flag = "L" if value < low else "H" if value > high else "N"
            lines.append(f"OBX|{number}|NM|{code}^{name}^LN||{value:.1f}|{units}|{normal}|{flag}|||F|||{drawn}")
        return ("\r".join(lines) + "\r").encode()

    def _msh(self, code: str, trigger: str, structure: str, when: str) -> str:
        self._control += 1
        control = f"LS{when[:14]}{self._control % 10**4:04d}"
        return (
            f"MSH|^~\\&|SIMEHR|{self.facility}|CARELANE|HUB|{when}||{code}^{trigger}^{structure}|{control}|{'T' if self.test else 'P'}|2.5.1||||||UNICODE UTF-8"
        )

    def _pid(self, patient: _Patient) -> str:
        return (
            f"PID|1||{patient.number}^^^{self.facility}^MR||{patient.family}^{patient.given}||{patient.born}|{patient.sex}||2106-3^White^HL70005|"
            f"{patient.street}^^Monroe^WI^53566^US^H||(608)555-0{self._random.randrange(100, 200)}^PRN^PH|||M|||{patient.visit}"
        )
