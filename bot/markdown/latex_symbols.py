"""The Unicode characters that LaTeX commands and scripts stand for, by how they are spaced."""

from enum import Enum, auto
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final


class Kind(Enum):
    """What a sign is in a formula, which decides about the spaces around it."""

    ORDINARY = auto()
    NAME = auto()  # of a function: sin, lim
    LARGE = auto()  # ∑, ∫
    BINARY = auto()
    SIGN = auto()  # a minus without a left side
    RELATION = auto()
    OPENING = auto()
    CLOSING = auto()
    COMMA = auto()
    SPACE = auto()
    FRACTION = auto()


def _pairs(text: str) -> dict[str, str]:
    """Return the names and their characters that *text* lists in turn."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _alphabet(letters: str) -> dict[int, int]:
    """Return how to translate A to Z, a to z and perhaps 0 to 9 to *letters*."""
    return str.maketrans((ascii_uppercase + ascii_lowercase + digits)[: len(letters)], letters)


_FUNCTIONS: Final = _names(
    """
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf
    limsup ln log max min Pr sec sin sinh sup tan tanh argmax argmin rank tr diag sgn
    """
)
SYMBOLS: Final = {
    Kind.ORDINARY: _pairs(
        r"""
    alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι
    kappa κ varkappa ϰ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ
    varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω
    Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
    infty ∞ partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ wp ℘ aleph ℵ beth ℶ imath ı jmath ȷ
    forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ emptyset ∅ varnothing ∅ complement ∁
    top ⊤ bot ⊥ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ qed ∎
    diamond ⋄ Diamond ◇ star ⋆ clubsuit ♣ diamondsuit ♢ heartsuit ♡ spadesuit ♠ flat ♭ natural ♮
    sharp ♯ checkmark ✓ degree ° prime ′ dagger † ddagger ‡ S § P ¶ pounds £ yen ¥ euro €
    ldots … dots … dotsc … dotsb ⋯ dotsm ⋯ cdots ⋯ vdots ⋮ ddots ⋱ therefore ∴ because ∵
    vert | Vert ‖ backslash \ lbrace { rbrace } surd √ mho ℧ eth ð AA Å aa å ae æ AE Æ oe œ OE Œ o ø
    O Ø ss ß | ‖ % % # # & & $ $ _ _
    """
    ),
    Kind.RELATION: _pairs(
        r"""
    le ≤ leq ≤ leqslant ≤ ge ≥ geq ≥ geqslant ≥ lt < gt > ne ≠ neq ≠ ll ≪ gg ≫ equiv ≡ sim ∼
    simeq ≃ approx ≈ approxeq ≊ cong ≅ propto ∝ varpropto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔
    coloneq ≔ prec ≺ succ ≻ preceq ⪯ succeq ⪰ lesssim ≲ gtrsim ≳ nleq ≰ ngeq ≱ nless ≮ ngtr ≯
    in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋
    nsubseteq ⊈ nsupseteq ⊉ sqsubseteq ⊑ sqsupseteq ⊒ mid | nmid ∤ parallel ∥ nparallel ∦ perp ⊥
    vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ bowtie ⋈ smile ⌣ frown ⌢
    to → rightarrow → longrightarrow ⟶ leftarrow ← gets ← longleftarrow ⟵ leftrightarrow ↔
    longleftrightarrow ⟷ Rightarrow ⇒ Longrightarrow ⟹ implies ⟹ Leftarrow ⇐ Longleftarrow ⟸
    impliedby ⟸ Leftrightarrow ⇔ Longleftrightarrow ⟺ iff ⟺ mapsto ↦ longmapsto ⟼ uparrow ↑
    downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖
    hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀ rightharpoondown ⇁ leftharpoonup ↼
    leftharpoondown ↽ rightleftharpoons ⇌ leftrightharpoons ⇋ rightsquigarrow ⇝ leadsto ⇝
    twoheadrightarrow ↠ nrightarrow ↛ nRightarrow ⇏
    """
    ),
    Kind.BINARY: _pairs(
        r"""
    pm ± mp ∓ times × div ÷ cdot · ast ∗ circ ∘ bullet • cap ∩ cup ∪ sqcap ⊓ sqcup ⊔ uplus ⊎
    setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘
    odot ⊙ ltimes ⋉ rtimes ⋊ amalg ⨿ wr ≀ veebar ⊻ barwedge ⊼ bmod mod
    """
    ),
    Kind.LARGE: _pairs(
        r"""
    sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcup ⋃ bigcap ⋂ bigvee ⋁
    bigwedge ⋀ bigoplus ⨁ bigotimes ⨂ bigodot ⨀ biguplus ⨄ bigsqcup ⨆
    """
    ),
    Kind.OPENING: _pairs("langle ⟨ lfloor ⌊ lceil ⌈ lvert | lVert ‖ lbrack [ ulcorner ⌜ { {"),
    Kind.CLOSING: _pairs("rangle ⟩ rfloor ⌋ rceil ⌉ rvert | rVert ‖ rbrack ] urcorner ⌝ } }"),
    Kind.NAME: {name: name for name in _FUNCTIONS},
    Kind.SPACE: {
        **dict.fromkeys(("enspace", "thinspace", "space", *",:;> \n"), " "),
        "quad": "\u2003",
        "qquad": "\u2003\u2003",
        "!": "",
    },
    Kind.COMMA: {"colon": ": "},
}
ACCENTS: Final = _pairs(
    "hat \u0302 widehat \u0302 check \u030c tilde \u0303 widetilde \u0303 acute \u0301 "
    "grave \u0300 dot \u0307 ddot \u0308 dddot \u20db breve \u0306 bar \u0304 vec \u20d7 "
    "mathring \u030a"
)
# Lines over or under any number of characters.
LINES: Final = _pairs(
    "bar \u0305 overline \u0305 underline \u0332 vec \u20d7 overrightarrow \u20d7"
)
# Commands about size or position, which have no meaning in a line of text.
DROPPED: Final = _names(
    """
    displaystyle textstyle scriptstyle limits nolimits big Big bigg Bigg bigl bigr Bigl Bigr biggl
    biggr Biggl Biggr bigm Bigm mathstrut strut nonumber notag middle mathop mathbin mathrel
    mathord mathopen mathclose mathpunct boxed
    """
)
_CALLIGRAPHIC: Final = _alphabet("𝒜ℬ𝒞𝒟ℰℱ𝒢ℋℐ𝒥𝒦ℒℳ𝒩𝒪𝒫𝒬ℛ𝒮𝒯𝒰𝒱𝒲𝒳𝒴𝒵𝒶𝒷𝒸𝒹ℯ𝒻ℊ𝒽𝒾𝒿𝓀𝓁𝓂𝓃ℴ𝓅𝓆𝓇𝓈𝓉𝓊𝓋𝓌𝓍𝓎𝓏")
ALPHABETS: Final = {
    "mathbb": _alphabet("𝔸𝔹ℂ𝔻𝔼𝔽𝔾ℍ𝕀𝕁𝕂𝕃𝕄ℕ𝕆ℙℚℝ𝕊𝕋𝕌𝕍𝕎𝕏𝕐ℤ𝕒𝕓𝕔𝕕𝕖𝕗𝕘𝕙𝕚𝕛𝕜𝕝𝕞𝕟𝕠𝕡𝕢𝕣𝕤𝕥𝕦𝕧𝕨𝕩𝕪𝕫𝟘𝟙𝟚𝟛𝟜𝟝𝟞𝟟𝟠𝟡"),
    "mathcal": _CALLIGRAPHIC,
    "mathscr": _CALLIGRAPHIC,
    "mathfrak": _alphabet("𝔄𝔅ℭ𝔇𝔈𝔉𝔊ℌℑ𝔍𝔎𝔏𝔐𝔑𝔒𝔓𝔔ℜ𝔖𝔗𝔘𝔙𝔚𝔛𝔜ℨ𝔞𝔟𝔠𝔡𝔢𝔣𝔤𝔥𝔦𝔧𝔨𝔩𝔪𝔫𝔬𝔭𝔮𝔯𝔰𝔱𝔲𝔳𝔴𝔵𝔶𝔷"),
}
PLAIN_FONTS: Final = _names("mathrm mathbf mathit mathsf mathtt mathnormal boldsymbol bm pmb")
TEXTS: Final = _names("text textrm textbf textit textsf texttt textnormal mbox hbox operatorname")
SUPERSCRIPTS: Final = _pairs(
    "0 ⁰ 1 ¹ 2 ² 3 ³ 4 ⁴ 5 ⁵ 6 ⁶ 7 ⁷ 8 ⁸ 9 ⁹ , , + ⁺ − ⁻ = ⁼ ( ⁽ ) ⁾ a ᵃ b ᵇ c ᶜ d ᵈ e ᵉ f ᶠ g ᵍ "
    "h ʰ i ⁱ j ʲ k ᵏ l ˡ m ᵐ n ⁿ o ᵒ p ᵖ r ʳ s ˢ t ᵗ u ᵘ v ᵛ w ʷ x ˣ y ʸ z ᶻ A ᴬ B ᴮ D ᴰ E ᴱ G ᴳ "
    "H ᴴ I ᴵ J ᴶ K ᴷ L ᴸ M ᴹ N ᴺ O ᴼ P ᴾ R ᴿ T ᵀ U ᵁ V ⱽ W ᵂ α ᵅ β ᵝ γ ᵞ δ ᵟ ε ᵋ θ ᶿ ι ᶥ φ ᵠ χ ᵡ "
    "′ ′ ″ ″ ‴ ‴ ° ° † † ‡ ‡ ∗ * ∘ ° ⊤ ᵀ"
)
SUBSCRIPTS: Final = _pairs(
    "0 ₀ 1 ₁ 2 ₂ 3 ₃ 4 ₄ 5 ₅ 6 ₆ 7 ₇ 8 ₈ 9 ₉ , , + ₊ − ₋ = ₌ ( ₍ ) ₎ a ₐ e ₑ h ₕ i ᵢ j ⱼ k ₖ l ₗ "
    "m ₘ n ₙ o ₒ p ₚ r ᵣ s ₛ t ₜ u ᵤ v ᵥ x ₓ β ᵦ γ ᵧ ρ ᵨ φ ᵩ χ ᵪ"
)
