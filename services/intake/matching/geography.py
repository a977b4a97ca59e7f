"""How far apart two postcodes are, by the middles of their areas: who moves house mostly moves near.

The middles are read off a map to about five kilometres: enough for the few steps of distance that are told apart.
"""

from functools import cache
from math import cos, hypot, radians

_KM_PER_DEGREE = 111.2
_MIDDLES = """
AB 57.15 -2.1,AL 51.78 -0.3,B 52.48 -1.9,BA 51.2 -2.5,BB 53.77 -2.4,BD 53.85 -1.85,BH 50.75 -1.9,BL 53.58 -2.45,
BN 50.88 -0.1,BR 51.39 0.03,BS 51.42 -2.65,BT 54.6 -6.3,CA 54.7 -3.1,CB 52.2 0.25,CF 51.6 -3.3,CH 53.25 -3.0,
CM 51.75 0.5,CO 51.9 0.95,CR 51.36 -0.1,CT 51.25 1.2,CV 52.4 -1.5,CW 53.15 -2.5,DA 51.43 0.25,DD 56.55 -2.9,
DE 53.0 -1.6,DG 55.05 -3.9,DH 54.8 -1.65,DL 54.45 -1.65,DN 53.55 -0.75,DT 50.72 -2.4,DY 52.45 -2.2,E 51.54 0.0,
EC 51.52 -0.09,EH 55.9 -3.2,EN 51.67 -0.05,EX 50.8 -3.7,FK 56.1 -3.8,FY 53.83 -3.0,G 55.87 -4.3,GL 51.85 -2.2,
GU 51.2 -0.7,GY 49.45 -2.55,HA 51.58 -0.35,HD 53.63 -1.8,HG 54.05 -1.5,HP 51.75 -0.75,HR 52.1 -2.75,HS 58.2 -6.5,
HU 53.77 -0.35,HX 53.72 -1.88,IG 51.57 0.08,IM 54.2 -4.5,IP 52.15 1.1,IV 57.6 -4.7,JE 49.2 -2.1,KA 55.55 -4.5,
KT 51.37 -0.33,KW 58.6 -3.3,KY 56.2 -3.1,L 53.45 -2.95,LA 54.2 -2.85,LD 52.2 -3.4,LE 52.65 -1.15,LL 53.1 -3.8,
LN 53.25 -0.4,LS 53.82 -1.55,LU 51.9 -0.43,M 53.47 -2.25,ME 51.35 0.6,MK 52.05 -0.7,ML 55.75 -3.85,N 51.58 -0.11,
NE 55.05 -1.7,NG 52.98 -1.05,NN 52.28 -0.85,NP 51.7 -3.0,NR 52.65 1.2,NW 51.55 -0.19,OL 53.57 -2.1,OX 51.75 -1.3,
PA 55.9 -5.2,PE 52.7 -0.05,PH 56.6 -3.8,PL 50.4 -4.3,PO 50.8 -1.1,PR 53.75 -2.7,RG 51.4 -1.05,RH 51.1 -0.2,
RM 51.55 0.2,S 53.35 -1.4,SA 51.8 -4.3,SE 51.48 -0.05,SG 51.95 -0.2,SK 53.35 -2.1,SL 51.53 -0.65,SM 51.37 -0.18,
SN 51.5 -1.9,SO 50.98 -1.4,SP 51.1 -1.75,SR 54.88 -1.4,SS 51.57 0.65,ST 52.95 -2.15,SW 51.47 -0.16,SY 52.55 -3.1,
TA 51.05 -3.1,TD 55.6 -2.5,TF 52.7 -2.45,TN 51.1 0.35,TQ 50.45 -3.7,TR 50.2 -5.2,TS 54.57 -1.2,TW 51.45 -0.35,
UB 51.53 -0.42,W 51.51 -0.2,WA 53.4 -2.6,WC 51.52 -0.12,WD 51.67 -0.4,WF 53.67 -1.45,WN 53.53 -2.65,WR 52.2 -2.2,
WS 52.65 -1.95,WV 52.6 -2.15,YO 54.0 -1.0,ZE 60.3 -1.3
"""
_PLACES = {
    area: (float(north), float(east))
    for area, north, east in (entry.split() for entry in _MIDDLES.replace("\n", "").split(","))
}


AREAS = tuple(sorted(_PLACES))


def area(postcode: str) -> str:
    """The letters at a postcode's beginning: "LS62AB" -> "LS", "M156HJ" -> "M"."""
    return postcode[:2] if postcode[1].isalpha() else postcode[:1]


@cache
def kilometres(a: str, b: str) -> float | None:
    """Between the middles of two areas; None when either is not on the map (a slip, or another country's)."""
    one, other = _PLACES.get(a), _PLACES.get(b)
    if one is None or other is None:
        return None
    north, east = one[0] - other[0], (one[1] - other[1]) * cos(radians((one[0] + other[0]) / 2))
    return hypot(north, east) * _KM_PER_DEGREE
