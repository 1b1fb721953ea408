"""LaTeX becomes one line of Unicode or stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown.latex import to_unicode


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"E = mc^2", "E = mc²"),
        (r"\alpha+\beta\le\Gamma", "α + β ≤ Γ"),
        (r"x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}", "x = (−b ± √(b² − 4ac))/(2a)"),
        (r"\sum_{i=1}^{n} i = \frac{n(n+1)}{2}", "∑ᵢ₌₁ⁿ i = n(n + 1)/2"),
        (r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt\pi}{2}", "∫₀^∞ e^(−x²) dx = √π/2"),
        (r"\lim_{x \to 0} \frac{\sin x}{x} = 1", "lim_(x→0) (sin x)/x = 1"),
        (r"\nabla \times \mathbf{E} = -\frac{\partial \mathbf B}{\partial t}", "∇ × E = −∂B/∂t"),
        (r"\forall x \in \mathbb{R}: |x| \geq 0", "∀x ∈ ℝ: |x| ≥ 0"),
        (r"\mathcal{L}(\mathfrak g) \subseteq \mathbb{N}^k", "ℒ(𝔤) ⊆ ℕᵏ"),
        (
            r"\hat{x} + \bar y + \vec{v} + \dot q + \tilde{n}",
            "x\u0302 + \u0233 + v\u20d7 + q\u0307 + \u00f1",
        ),
        (r"\overline{AB} \perp \overrightarrow{CD}", "A̅B̅ ⊥ C⃗D⃗"),
        (r"f: A \to B, x \mapsto x^{-1}", "f: A → B, x ↦ x⁻¹"),
        (r"f'(x) + g''(y) + h'''", "f′(x) + g″(y) + h‴"),
        (r"2\frac{1}{2}x", "2(1/2)x"),
        (r"\frac12 m v^2", "(1/2)mv²"),
        (r"\frac{a}{b}^2 + {a+b}^2", "(a/b)² + (a + b)²"),
        (r"\frac{1}{\frac{a}{b}}", "1/(a/b)"),
        (r"\frac{dy}{dx} = \frac{P(A)}{n!(n-k)!}", "dy/dx = P(A)/(n!(n − k)!)"),
        (r"\left( \frac{a}{b} \right)^2 \left\{ x \right.", "(a/b)²{x"),
        (r"\{ x \mid x > 0 \}", "{x | x > 0}"),
        (r"a_{ij} x_{max} y_{\text{if}} z_{i,j} w_\theta", "aᵢⱼxₘₐₓy_(if)zᵢ,ⱼw_θ"),
        (r"x^{y^z} x^{n+1} x^* A^\top 90^\circ", "x^(yᶻ)xⁿ⁺¹x*Aᵀ90°"),
        (r"x_i^2 = x^2_i", "xᵢ² = xᵢ²"),
        (r"\text{speed} = \frac{\text{distance}}{\text{time}}", "speed = distance/time"),
        (r"속도 = \frac{거리}{시간}", "속도 = 거리/시간"),
        (r"10\text{ km} \quad a", "10 km\u2003a"),
        (r"force = mass \times acceleration due", "force = mass × acceleration due"),
        (r"\log_2 n + 2\ln x + \sin(x) + O(n \log n)", "log₂ n + 2 ln x + sin(x) + O(n log n)"),
        (r"a \not= b \not\in C \ne D", "a ≠ b ∉ C ≠ D"),
        (r"\binom{n}{k} \equiv 1 \pmod{p}", "C(n, k) ≡ 1 (mod p)"),
        (r"\sqrt[3]{x+1} \sqrt[n]2 \sqrt{ab}", "∛(x + 1)ⁿ√2√(ab)"),
        (r"p \land \neg q \implies r \iff s", "p ∧ ¬q ⟹ r ⟺ s"),
        (r"\mathrm{H_2O} \rightleftharpoons \operatorname{pH} x", "H₂O ⇌ pH x"),
        (r"\boxed{42}", "42"),
        (r"1,000 + 2, 3; -1 < +1", "1,000 + 2, 3; −1 < +1"),
        (r"50\% \$5 a\_b \& \#", "50%$5a_b&#"),
        (r"\iint_D f\,dA = \oint \vec F \cdot d\vec r", "∬_D f dA = ∮ F⃗ · dr⃗"),
        (r"\bigl( a \bigr) \displaystyle \sum\limits_k", "(a) ∑ₖ"),
        (r"a \cup b\setminus\emptyset", "a ∪ b ∖ ∅"),
        (r"x = 1 \tag{3}", "x = 1\u2003(3)"),
    ],
)
def test_latex_that_unicode_can_show(source: str, shown: str) -> None:
    assert to_unicode(source) == shown


@pytest.mark.parametrize(
    "source",
    [
        r"\begin{pmatrix} 1 & 2 \end{pmatrix}",
        r"a \\ b",
        r"a & b",
        r"\unknown{x}",
        r"\underbrace{a}_{b}",
        r"\overset{a}{b}",
        r"\hat{abc}",
        r"\text{if $x$}",
        r"\text{\emph{x}}",
        "x^",
        r"\frac{1}",
        "{a",
        "a}",
        r"\left",
        r"\left a",
        r"\not\frac12",
        r"\text x",
        "\\",
        "$",
        "",
        "{}",
        "{" * 50 + "}" * 50,
        r"\sqrt[3",
        r"\mathbb{",
        *(command * 900 + "{2}" for command in (r"\sqrt", r"\not", r"\hat", r"\left", r"\frac")),
    ],
)
def test_latex_that_unicode_cannot_show(source: str) -> None:
    assert to_unicode(source) is None


fragments = st.lists(
    st.sampled_from(
        [
            *(r"\frac", r"\sqrt", "{", "}", "[", "]", "^", "_", "'", " ", "a", "12", "+", "-", "="),
            *(r"\left", r"\right", "(", ")", r"\text", r"\hat", r"\bar", r"\not", r"\in", r"\\"),
            *(r"\alpha", r"\sum", r"\mathbb", "&", "$", "한", "\n", r"\{", r"\}", r"\,", ".", "\\"),
        ]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=500, derandomize=True)
@given(fragments)
def test_any_latex_becomes_one_line_or_stays(source: str) -> None:
    shown = to_unicode(source)
    assert shown is None or (shown == shown.strip() != "" and "\n" not in shown)
